package dev.performer.savedmodel;

import dev.performer.graph.ArgumentSpec;
import dev.performer.graph.NodeBuilders;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.tensorflow.proto.Struct.DictValue;
import org.tensorflow.proto.Struct.ListValue;
import org.tensorflow.proto.Struct.NamedTupleValue;
import org.tensorflow.proto.Struct.NoneValue;
import org.tensorflow.proto.Struct.PairValue;
import org.tensorflow.proto.Struct.StructuredValue;
import org.tensorflow.proto.Struct.TensorSpecProto;
import org.tensorflow.proto.Struct.TupleValue;

/** Python values as a SavedModel's object graph writes them down. */
final class StructuredValues {
  static final StructuredValue NONE =
      StructuredValue.newBuilder().setNoneValue(NoneValue.getDefaultInstance()).build();

  private StructuredValues() {}

  static StructuredValue string(String value) {
    return StructuredValue.newBuilder().setStringValue(value).build();
  }

  static StructuredValue tuple(Collection<StructuredValue> values) {
    return StructuredValue.newBuilder()
        .setTupleValue(TupleValue.newBuilder().addAllValues(values))
        .build();
  }

  static StructuredValue list(Collection<StructuredValue> values) {
    return StructuredValue.newBuilder()
        .setListValue(ListValue.newBuilder().addAllValues(values))
        .build();
  }

  static StructuredValue dict(Map<String, StructuredValue> values) {
    return StructuredValue.newBuilder()
        .setDictValue(DictValue.newBuilder().putAllFields(values))
        .build();
  }

  static StructuredValue spec(ArgumentSpec spec) {
    return StructuredValue.newBuilder()
        .setTensorSpecValue(
            TensorSpecProto.newBuilder()
                .setName(spec.name())
                .setShape(NodeBuilders.shape(spec.shape()))
                .setDtype(spec.dataType()))
        .build();
  }

  /** {@code inspect.FullArgSpec} of a function with these positional arguments and no others. */
  static StructuredValue fullArgSpec(List<String> arguments) {
    return StructuredValue.newBuilder()
        .setNamedTupleValue(
            NamedTupleValue.newBuilder()
                .setName("FullArgSpec")
                .addValues(
                    pair("args", list(arguments.stream().map(StructuredValues::string).toList())))
                .addValues(pair("varargs", NONE))
                .addValues(pair("varkw", NONE))
                .addValues(pair("defaults", NONE))
                .addValues(pair("kwonlyargs", list(List.of())))
                .addValues(pair("kwonlydefaults", NONE))
                .addValues(pair("annotations", dict(Map.of()))))
        .build();
  }

  private static PairValue pair(String key, StructuredValue value) {
    return PairValue.newBuilder().setKey(key).setValue(value).build();
  }
}
