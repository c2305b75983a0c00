package dev.performer.savedmodel.protos;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.TensorSpec;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.TensorProto;
import org.tensorflow.proto.TensorShapeProto;

class TensorMessagesTest {
  private static NpyArray back(DataType type, NpyArray array) {
    TensorSpec spec = new TensorSpec("x", "x:0", type, Shape.unknown());
    return TensorMessages.array("x", TensorMessages.bytes(spec, array));
  }

  private static TensorProto.Builder proto(DataType type, long... shape) {
    var sizes = TensorShapeProto.newBuilder();
    for (long size : shape) {
      sizes.addDimBuilder().setSize(size);
    }
    return TensorProto.newBuilder().setDtype(type).setTensorShape(sizes);
  }

  private static NpyArray read(TensorProto.Builder proto) {
    return TensorMessages.array("x", proto.build().toByteString());
  }

  @ParameterizedTest
  @EnumSource(NpyType.class)
  void everyTypeGoesThereAndBack(NpyType type) {
    DataType sent =
        switch (type) {
          case FLOAT32 -> DataType.DT_FLOAT;
          case FLOAT64 -> DataType.DT_DOUBLE;
          default -> DataType.valueOf("DT_" + type.name());
        };
    NpyArray array =
        type == NpyType.STRING
            ? NpyArray.of(List.of(new byte[] {0, -1}, new byte[0], "é".getBytes()), 3)
            : new NpyArray(type, new long[] {3}, bytes(type));
    assertThat(back(sent, array)).isEqualTo(array);
    NpyArray none = type == NpyType.STRING ? NpyArray.of(List.of(), 0, 2) : empty(type);
    assertThat(back(sent, none)).isEqualTo(none);
  }

  private static NpyArray empty(NpyType type) {
    return new NpyArray(type, new long[] {0, 2}, new byte[0]);
  }

  private static byte[] bytes(NpyType type) {
    byte[] bytes = new byte[3 * type.size()];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (type == NpyType.BOOL ? i % 2 : 127 * i - 5); // negative ones too
    }
    return bytes;
  }

  @ParameterizedTest
  @EnumSource(
      value = DataType.class,
      names = {"DT_HALF", "DT_BFLOAT16"})
  void halfPrecisionKeepsItsValues(DataType type) {
    NpyArray values =
        NpyArray.of(new float[] {-1.5f, 0, 256, Float.POSITIVE_INFINITY, -0f, 0.0078125f}, 2, 3);
    assertThat(back(type, values)).isEqualTo(values);
    NpyArray content =
        read(proto(type, 1).setTensorContent(ByteString.copyFrom(new byte[] {0, (byte) 0xc0})));
    assertThat(content.floats()).containsExactly(-2);
  }

  @Test
  void fewValuesAreFilledAsTensorFlowFills() {
    assertThat(read(proto(DataType.DT_FLOAT, 2, 2).addFloatVal(3)).floats())
        .containsExactly(3, 3, 3, 3);
    assertThat(read(proto(DataType.DT_INT32, 3).addIntVal(1).addIntVal(2)).longs())
        .containsExactly(1, 2, 2);
    assertThat(read(proto(DataType.DT_INT64, 2)).longs()).containsExactly(0, 0);
    assertThat(read(proto(DataType.DT_STRING, 2).addStringVal(ByteString.copyFromUtf8("a"))))
        .isEqualTo(NpyArray.of(List.of(new byte[] {97}, new byte[] {97}), 2));
    assertThat(read(proto(DataType.DT_FLOAT).addFloatVal(3)).shape()).isEmpty();
  }

  @Test
  void refusesWhatIsNoTensor() {
    refuses(proto(DataType.DT_COMPLEX64, 1), "DT_COMPLEX64");
    refuses(proto(DataType.DT_FLOAT, -1), "its shape is not known");
    refuses(proto(DataType.DT_FLOAT, 1L << 40), "too large");
    refuses(proto(DataType.DT_FLOAT, 1 << 26).addFloatVal(1), "1 values are given");
    refuses(
        proto(DataType.DT_FLOAT, 2).setTensorContent(ByteString.copyFrom(new byte[7])),
        "its content has 7 bytes, not 8");
    assertThatThrownBy(() -> TensorMessages.array("x", ByteString.copyFrom(new byte[] {1, 2})))
        .hasMessage("tensor parsing error: x: no TensorProto");
  }

  private static void refuses(TensorProto.Builder proto, String part) {
    assertThatThrownBy(() -> read(proto)).hasMessageContainingAll("tensor parsing error: x", part);
  }
}
