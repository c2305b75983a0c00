package dev.performer.graph;

import java.nio.ByteOrder;
import java.util.List;
import java.util.Optional;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

/** Numbers that a graph holds as constants. */
final class ScalarConstants {
  private ScalarConstants() {}

  /** The first value of an integer constant, 1 for true; none for other nodes and types. */
  static Optional<Long> find(NodeDef node) {
    if (!node.getOp().equals("Const")) {
      return Optional.empty();
    }
    TensorProto tensor = node.getAttrOrThrow("value").getTensor();
    boolean isPacked = !tensor.getTensorContent().isEmpty();
    var packed = tensor.getTensorContent().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    return switch (tensor.getDtype()) {
      case DT_BOOL ->
          Optional.of(isPacked ? packed.get() : first(tensor.getBoolValList(), false) ? 1L : 0L);
      case DT_INT32 ->
          Optional.of((long) (isPacked ? packed.getInt() : first(tensor.getIntValList(), 0)));
      case DT_INT64 ->
          Optional.of(isPacked ? packed.getLong() : first(tensor.getInt64ValList(), 0L));
      default -> Optional.empty();
    };
  }

  private static <T> T first(List<T> values, T otherwise) {
    return values.isEmpty() ? otherwise : values.get(0);
  }
}
