package dev.performer.graph;

import com.google.protobuf.ByteString;
import java.nio.ByteOrder;
import java.util.OptionalLong;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

/** Numbers that a graph holds as constants. */
final class ScalarConstants {
  private ScalarConstants() {}

  /** The first value of an integer constant, 1 for true; none for other nodes and types. */
  static OptionalLong find(NodeDef node) {
    if (!node.getOp().equals("Const")) {
      return OptionalLong.empty();
    }
    TensorProto tensor = node.getAttrOrThrow("value").getTensor();
    ByteString packed = tensor.getTensorContent();
    var bytes = packed.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    return switch (tensor.getDtype()) {
      case DT_BOOL ->
          OptionalLong.of(
              packed.isEmpty()
                  ? tensor.getBoolValList().stream().findFirst().orElse(false) ? 1 : 0
                  : packed.byteAt(0));
      case DT_INT32 ->
          OptionalLong.of(
              packed.isEmpty()
                  ? tensor.getIntValList().stream().findFirst().orElse(0)
                  : bytes.getInt());
      case DT_INT64 ->
          OptionalLong.of(
              packed.isEmpty()
                  ? tensor.getInt64ValList().stream().findFirst().orElse(0L)
                  : bytes.getLong());
      default -> OptionalLong.empty();
    };
  }
}
