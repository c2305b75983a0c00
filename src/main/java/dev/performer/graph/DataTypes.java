package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static java.util.stream.Collectors.toUnmodifiableMap;

import java.util.Map;
import java.util.function.Function;
import java.util.stream.Stream;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.TString;
import org.tensorflow.types.TUint16;
import org.tensorflow.types.TUint8;
import org.tensorflow.types.annotation.TensorType;
import org.tensorflow.types.family.TType;

/**
 * TensorFlow's types and their classes in Java. TensorFlow Java's own table is in a package that
 * its module keeps to itself.
 */
public final class DataTypes {
  private static final Map<DataType, Class<? extends TType>> CLASSES =
      Stream.of(
              TBfloat16.class,
              TBool.class,
              TFloat16.class,
              TFloat32.class,
              TFloat64.class,
              TInt32.class,
              TInt64.class,
              TString.class,
              TUint16.class,
              TUint8.class)
          .collect(toUnmodifiableMap(DataTypes::of, Function.identity()));

  private DataTypes() {}

  /** The type of a class such as {@link TFloat32}. */
  public static DataType of(Class<? extends TType> type) {
    return type.getAnnotation(TensorType.class).dataType();
  }

  /** The class of a type. @throws PerformerException if TensorFlow Java has none */
  public static Class<? extends TType> javaType(DataType type) {
    Class<? extends TType> javaType = CLASSES.get(type);
    require(javaType != null, "TensorFlow Java has no class for tensors of type %s", type);
    return javaType;
  }
}
