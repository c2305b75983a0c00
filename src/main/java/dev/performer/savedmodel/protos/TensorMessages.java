package dev.performer.savedmodel.protos;

import static dev.performer.PerformerException.require;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.TensorSpec;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.ndarray.buffer.layout.DataLayouts;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;
import org.tensorflow.proto.TensorShapeProto.Dim;

/** Arrays as TensorProtos, and back: what {@code tf.make_tensor_proto} and its like write. */
public final class TensorMessages {
  private static final int MOST_FILLED = 1 << 20; // elements, of a message that holds less

  private static final Map<DataType, NpyType> TYPES =
      Map.ofEntries(
          Map.entry(DataType.DT_FLOAT, NpyType.FLOAT32),
          Map.entry(DataType.DT_DOUBLE, NpyType.FLOAT64),
          Map.entry(DataType.DT_HALF, NpyType.FLOAT32),
          Map.entry(DataType.DT_BFLOAT16, NpyType.FLOAT32),
          Map.entry(DataType.DT_INT8, NpyType.INT8),
          Map.entry(DataType.DT_INT16, NpyType.INT16),
          Map.entry(DataType.DT_INT32, NpyType.INT32),
          Map.entry(DataType.DT_INT64, NpyType.INT64),
          Map.entry(DataType.DT_UINT8, NpyType.UINT8),
          Map.entry(DataType.DT_UINT16, NpyType.UINT16),
          Map.entry(DataType.DT_UINT32, NpyType.UINT32),
          Map.entry(DataType.DT_BOOL, NpyType.BOOL),
          Map.entry(DataType.DT_STRING, NpyType.STRING));

  private TensorMessages() {}

  /**
   * The array of a serialized TensorProto; float16 and bfloat16 as float32. Where it holds fewer
   * values than its shape has elements, the last stands for the rest, as in TensorFlow.
   *
   * @param name of the tensor, for errors
   * @throws PerformerException if it is damaged, or of a type that has no array here
   */
  public static NpyArray array(String name, ByteString serialized) {
    TensorProto proto;
    try {
      proto = TensorProto.parseFrom(serialized);
    } catch (InvalidProtocolBufferException e) {
      throw new PerformerException("tensor parsing error: " + name + ": no TensorProto", e);
    }
    NpyType type = TYPES.get(proto.getDtype());
    String unknown = "tensor parsing error: %s: the type %s has no array here";
    require(type != null, unknown, name, proto.getDtype());
    long[] shape = shape(name, proto.getTensorShape());
    long size = 1;
    long most = Integer.MAX_VALUE / 16;
    for (long d : shape) {
      require(d <= most && size * d <= most, "tensor parsing error: %s: it is too large", name);
      size *= d;
    }
    return type == NpyType.STRING
        ? strings(name, proto, shape, (int) size)
        : new NpyArray(type, shape, numbers(name, proto, type, (int) size));
  }

  private static long[] shape(String name, TensorShapeProto proto) {
    boolean isKnown =
        !proto.getUnknownRank() && proto.getDimList().stream().allMatch(d -> d.getSize() >= 0);
    require(isKnown, "tensor parsing error: %s: its shape is not known", name);
    return proto.getDimList().stream().mapToLong(Dim::getSize).toArray();
  }

  private static NpyArray strings(String name, TensorProto proto, long[] shape, int size) {
    List<byte[]> strings = new ArrayList<>(size);
    int given = proto.getStringValCount();
    requireValues(name, given, size);
    for (int i = 0; i < Math.min(given, size); i++) {
      strings.add(proto.getStringVal(i).toByteArray());
    }
    byte[] last = strings.isEmpty() ? new byte[0] : strings.get(strings.size() - 1);
    strings.addAll(Collections.nCopies(size - strings.size(), last));
    return NpyArray.of(strings, shape);
  }

  private static void requireValues(String name, int given, int size) {
    String tooLarge = "tensor parsing error: %s: %d values are given for %d elements";
    require(given >= size || size <= MOST_FILLED, tooLarge, name, given, size);
  }

  private static byte[] numbers(String name, TensorProto proto, NpyType type, int size) {
    byte[] bytes = new byte[Math.multiplyExact(size, type.size())];
    boolean isHalf = is16(proto.getDtype());
    int width = isHalf ? Short.BYTES : type.size();
    ByteString content = proto.getTensorContent();
    if (!content.isEmpty()) {
      String text = "tensor parsing error: %s: its content has %d bytes, not %d";
      require(content.size() == size * (long) width, text, name, content.size(), size * width);
      if (!isHalf) {
        content.copyTo(bytes, 0);
        return bytes;
      }
      var shorts = content.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asShortBuffer();
      short[] halves = new short[size];
      shorts.get(halves);
      return floats(proto.getDtype(), halves);
    }
    ByteBuffer out = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    short[] halves = new short[isHalf ? size : 0];
    IntConsumer put = // of what stands at a place of the field to the next element
        switch (proto.getDtype()) {
          case DT_FLOAT -> i -> out.putFloat(proto.getFloatVal(i));
          case DT_DOUBLE -> i -> out.putDouble(proto.getDoubleVal(i));
          case DT_INT64 -> i -> out.putLong(proto.getInt64Val(i));
          case DT_UINT32 -> i -> out.putInt(proto.getUint32Val(i));
          case DT_BOOL -> i -> out.put((byte) (proto.getBoolVal(i) ? 1 : 0));
          case DT_INT8, DT_UINT8 -> i -> out.put((byte) proto.getIntVal(i));
          case DT_INT16, DT_UINT16 -> i -> out.putShort((short) proto.getIntVal(i));
          default -> i -> out.putInt(proto.getIntVal(i));
        };
    int given = count(proto);
    requireValues(name, given, size);
    for (int i = 0; i < size && given > 0; i++) {
      int place = Math.min(i, given - 1);
      if (isHalf) {
        halves[i] = (short) proto.getHalfVal(place);
      } else {
        put.accept(place);
      }
    }
    return isHalf ? floats(proto.getDtype(), halves) : bytes;
  }

  private static int count(TensorProto proto) {
    return switch (proto.getDtype()) {
      case DT_FLOAT -> proto.getFloatValCount();
      case DT_DOUBLE -> proto.getDoubleValCount();
      case DT_INT64 -> proto.getInt64ValCount();
      case DT_UINT32 -> proto.getUint32ValCount();
      case DT_BOOL -> proto.getBoolValCount();
      case DT_HALF, DT_BFLOAT16 -> proto.getHalfValCount();
      default -> proto.getIntValCount();
    };
  }

  private static boolean is16(DataType type) {
    return type == DataType.DT_HALF || type == DataType.DT_BFLOAT16;
  }

  private static byte[] floats(DataType type, short[] halves) {
    float[] values = new float[halves.length];
    var layout = type == DataType.DT_HALF ? DataLayouts.FLOAT16 : DataLayouts.BFLOAT16;
    layout.applyTo(DataBuffers.of(halves, true, false)).read(values);
    return NpyArray.of(values, values.length).bytes();
  }

  private static short[] halves(DataType type, float[] values) {
    short[] halves = new short[values.length];
    var layout = type == DataType.DT_HALF ? DataLayouts.FLOAT16 : DataLayouts.BFLOAT16;
    layout.applyTo(DataBuffers.of(halves, false, false)).write(values);
    return halves;
  }

  /**
   * A serialized TensorProto, its values in the field of its type, where clients look for them.
   *
   * @param spec the tensor, of whose type the message is
   */
  public static ByteString bytes(TensorSpec spec, NpyArray array) {
    TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
    for (long d : array.shape()) {
      shape.addDimBuilder().setSize(d);
    }
    var head = TensorProto.newBuilder().setDtype(spec.type()).setTensorShape(shape);
    var out = ByteString.newOutput(64 + array.bytes().length);
    CodedOutputStream coded = CodedOutputStream.newInstance(out, 1 << 16);
    try {
      head.build().writeTo(coded);
      write(coded, spec.type(), array);
      coded.flush();
    } catch (IOException e) {
      throw new UncheckedIOException(e); // memory has no errors of this kind
    }
    return out.toByteString();
  }

  private static void write(CodedOutputStream out, DataType type, NpyArray array)
      throws IOException {
    switch (type) {
      case DT_STRING -> {
        for (byte[] string : array.strings()) {
          out.writeByteArray(TensorProto.STRING_VAL_FIELD_NUMBER, string);
        }
      }
      // A packed field of these is what the array holds.
      case DT_FLOAT -> out.writeByteArray(TensorProto.FLOAT_VAL_FIELD_NUMBER, array.bytes());
      case DT_DOUBLE -> out.writeByteArray(TensorProto.DOUBLE_VAL_FIELD_NUMBER, array.bytes());
      case DT_BOOL -> out.writeByteArray(TensorProto.BOOL_VAL_FIELD_NUMBER, array.bytes());
      case DT_HALF, DT_BFLOAT16 -> {
        short[] halves = halves(type, array.floats());
        long[] values = new long[halves.length];
        for (int i = 0; i < values.length; i++) {
          values[i] = halves[i] & 0xffff;
        }
        packed(out, TensorProto.HALF_VAL_FIELD_NUMBER, values);
      }
      case DT_INT64 -> packed(out, TensorProto.INT64_VAL_FIELD_NUMBER, array.longs());
      case DT_UINT32 -> packed(out, TensorProto.UINT32_VAL_FIELD_NUMBER, array.longs());
      default -> packed(out, TensorProto.INT_VAL_FIELD_NUMBER, array.longs());
    }
  }

  private static void packed(CodedOutputStream out, int field, long[] values) throws IOException {
    var varints = new ByteArrayOutputStream(values.length + 16);
    CodedOutputStream coded = CodedOutputStream.newInstance(varints);
    for (long value : values) {
      coded.writeUInt64NoTag(value);
    }
    coded.flush();
    out.writeByteArray(field, varints.toByteArray());
  }
}
