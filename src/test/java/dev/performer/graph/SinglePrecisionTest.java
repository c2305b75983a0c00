package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.TensorProto;

class SinglePrecisionTest {

  /** All 65,536 values, packed and listed, are those that TensorFlow's own cast gives. */
  @ParameterizedTest
  @EnumSource(
      value = DataType.class,
      names = {"DT_HALF", "DT_BFLOAT16"})
  void widensEveryConstantExactly(DataType type) {
    ByteBuffer bits = ByteBuffer.allocate(2 << 16).order(ByteOrder.LITTLE_ENDIAN);
    TensorProto.Builder listed = tensor(type);
    for (int i = 0; i < 1 << 16; i++) {
      bits.putShort((short) i);
      listed.addHalfVal(i);
    }
    var packed = tensor(type).setTensorContent(ByteString.copyFrom(bits.array()));
    for (TensorProto.Builder constant : new TensorProto.Builder[] {packed, listed}) {
      GraphDef graph = castOf(constant.build());
      GraphDef wide = SinglePrecision.apply(graph);
      assertThat(wide.toString()).doesNotContain(type.name());
      assertThat(run(wide)).isEqualTo(run(graph));
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = DataType.class,
      names = {"DT_HALF", "DT_FLOAT"})
  void keepsInputsAndGraphsThatTakeBitsApart(DataType type) {
    AttrValue t = GraphProtos.type(type);
    var input = GraphProtos.node("x", "Placeholder").putAttr("dtype", t);
    var sine = GraphProtos.node("y", "Sin", "x").putAttr("T", t);
    GraphDef plain = GraphDef.newBuilder().addNode(input).addNode(sine).build();
    GraphDef wide = SinglePrecision.apply(plain);
    assertThat(wide.getNode(0)).isEqualTo(plain.getNode(0));
    assertThat(wide.equals(plain)).isEqualTo(type == DataType.DT_FLOAT);
    var bits = GraphProtos.node("bits", "Bitcast", "y").putAttr("T", t);
    bits.putAttr("type", GraphProtos.type(DataType.DT_INT16));
    GraphDef apart = plain.toBuilder().addNode(bits).build();
    assertThat(SinglePrecision.apply(apart)).isEqualTo(apart);
  }

  private static TensorProto.Builder tensor(DataType type) {
    return TensorProto.newBuilder()
        .setDtype(type)
        .setTensorShape(GraphProtos.shape(Shape.of(1 << 16)));
  }

  private static GraphDef castOf(TensorProto constant) {
    AttrValue type = GraphProtos.type(constant.getDtype());
    var value = AttrValue.newBuilder().setTensor(constant).build();
    var node = GraphProtos.node("c", "Const").putAttr("dtype", type).putAttr("value", value);
    var cast = GraphProtos.node("y", "Cast", "c").putAttr("SrcT", type);
    cast.putAttr("DstT", GraphProtos.type(DataType.DT_FLOAT));
    return GraphDef.newBuilder().addNode(node).addNode(cast).build();
  }

  private static float[] run(GraphDef definition) {
    try (Graph graph = new Graph()) {
      graph.importGraphDef(definition);
      try (Session session = new Session(graph);
          var result = session.runner().fetch("y").run()) {
        float[] values = new float[1 << 16];
        result.get(0).asRawTensor().data().asFloats().read(values);
        return values; // any NaN equals any other
      }
    }
  }
}
