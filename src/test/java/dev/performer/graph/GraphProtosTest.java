package dev.performer.graph;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.TensorProto;

class GraphProtosTest {
  private static TensorProto constant(String... values) {
    try (Graph graph = new Graph()) {
      Ops.create(graph).array(values);
      return graph.toGraphDef().getNode(0).getAttrOrThrow("value").getTensor();
    }
  }

  @Test
  void packedStringsComeOutOneByOne() {
    String[] values = {"a", "", "naïve", "x".repeat(300)};
    List<ByteString> expected = new ArrayList<>();
    for (String value : values) {
      expected.add(ByteString.copyFromUtf8(value));
    }
    TensorProto packed = constant(values);
    assertThat(packed.getStringValCount()).as("TensorFlow packs them").isZero();
    assertThat(GraphProtos.strings(packed)).isEqualTo(expected);
    TensorProto unpacked = GraphProtos.unpacked(packed);
    assertThat(unpacked.getStringValList()).isEqualTo(expected);
    assertThat(GraphProtos.strings(unpacked)).isEqualTo(expected);
  }

  @Test
  void repeatedLastValuesMayBeLeftOut() {
    TensorProto packed = constant("a", "b", "b");
    TensorProto shortened =
        packed.toBuilder()
            .clearTensorContent()
            .addStringVal(ByteString.copyFromUtf8("a"))
            .addStringVal(ByteString.copyFromUtf8("b"))
            .build();
    assertThat(GraphProtos.strings(shortened)).isEqualTo(GraphProtos.strings(packed));
  }
}
