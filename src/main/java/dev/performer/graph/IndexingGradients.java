package dev.performer.graph;

import java.util.ArrayList;
import java.util.List;
import org.tensorflow.GraphOperation;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;

/** Gradients of ops that move elements about. */
final class IndexingGradients {
  private IndexingGradients() {}

  /**
   * Dense gradient of an embedding table: rows of the gradient are summed by their index.
   *
   * <p>With batch dimensions each batch entry has a table of its own, {@code [batch…, rows, …]};
   * the tables are laid end to end and the indices moved accordingly.
   */
  static List<Output<?>> resourceGather(
      RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    int batchDims = Math.toIntExact(node.attributes().getAttrInt("batch_dims"));
    Output<?> table = ops.op("VariableShape", node.input(0));
    Output<?> indices = node.input(1);
    Output<?> rows = ops.op("Prod", ops.slice(table, 0, batchDims + 1), ops.ints(0));
    Output<?> inner = ops.sliceFrom(table, batchDims + 1);
    Output<?> updates =
        ops.op("Reshape", gradients.get(0), ops.concat(List.of(ops.ints(-1), inner)));
    Output<?> flat = ops.op("Reshape", moved(ops, indices, table, batchDims), ops.ints(-1));
    Output<?> summed = ops.op("UnsortedSegmentSum", updates, flat, rows);
    return List.of(ops.op("Reshape", summed, table), ops.zerosLike(indices));
  }

  private static Output<?> moved(RawOps ops, Output<?> indices, Output<?> table, int batchDims) {
    if (batchDims == 0) {
      return indices;
    }
    Output<?> shape = ops.op("Shape", indices);
    Output<?> batch = ops.slice(shape, 0, batchDims);
    Output<?> count = ops.op("Prod", batch, ops.ints(0));
    Output<?> perBatch = ops.slice(table, batchDims, batchDims + 1);
    Output<?> starts =
        ops.op("Mul", ops.op("Range", ops.integer(0), count, ops.integer(1)), perBatch);
    Output<?> rows =
        ops.op(
            "Reshape",
            indices,
            ops.concat(List.of(ops.op("Reshape", count, ops.ints(1)), ops.ints(-1))));
    return ops.op("AddV2", rows, ops.cast(ops.op("ExpandDims", starts, ops.integer(1)), indices));
  }

  /** Gradient of {@code ResourceGatherNd}: updates scattered and summed. */
  static List<Output<?>> resourceGatherNd(
      RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> indices = node.input(1);
    Output<?> shape = ops.cast(ops.op("VariableShape", node.input(0)), indices);
    return List.of(ops.op("ScatterNd", indices, gradients.get(0), shape), ops.zerosLike(indices));
  }

  /** Gradient of {@code MatrixDiagV2/V3} with respect to the diagonals; padding has none. */
  static List<Output<?>> matrixDiag(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> dy = gradients.get(0);
    boolean third = node.type().endsWith("V3");
    Output<?> zero = ops.scalar(0, dy);
    OperationBuilder part =
        ops.builder(third ? "MatrixDiagPartV3" : "MatrixDiagPartV2")
            .addInput(dy)
            .addInput(node.input(1))
            .addInput(zero);
    if (third) {
      part.setAttr("align", node.attributes().getAttrString("align"));
    }
    List<Output<?>> result = new ArrayList<>();
    result.add(part.build().output(0));
    for (int i = 1; i < 4; i++) {
      result.add(ops.zerosLike(node.input(i)));
    }
    result.add(padding(ops, dy, result.get(0), node));
    return result;
  }

  /** What the diagonals do not take of the gradient belongs to the value they are padded with. */
  private static Output<?> padding(
      RawOps ops, Output<?> dy, Output<?> diagonal, GraphOperation node) {
    return ops.op("Sub", sum(ops, dy), sum(ops, diagonal));
  }

  private static Output<?> sum(RawOps ops, Output<?> x) {
    Output<?> axes = ops.op("Range", ops.integer(0), ops.op("Rank", x), ops.integer(1));
    return ops.op("Sum", x, axes);
  }

  /** Gradient of {@code MatrixDiagPartV2/V3}: the diagonals put back into a zero matrix. */
  static List<Output<?>> matrixDiagPart(
      RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> input = node.input(0);
    boolean third = node.type().endsWith("V3");
    OperationBuilder set =
        ops.builder(third ? "MatrixSetDiagV3" : "MatrixSetDiagV2")
            .addInput(ops.zerosLike(input))
            .addInput(gradients.get(0))
            .addInput(node.input(1));
    if (third) {
      set.setAttr("align", node.attributes().getAttrString("align"));
    }
    Output<?> dx = set.build().output(0);
    return List.of(
        dx, ops.zerosLike(node.input(1)), ops.op("Sub", sum(ops, gradients.get(0)), sum(ops, dx)));
  }

  /** Gradient of {@code TensorScatterAdd}. */
  static List<Output<?>> tensorScatterAdd(
      RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> dy = gradients.get(0);
    return List.of(dy, ops.zerosLike(node.input(1)), ops.op("GatherNd", dy, node.input(1)));
  }

  /** Gradient of {@code TensorScatterUpdate}: overwritten elements get none. */
  static List<Output<?>> tensorScatterUpdate(
      RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> dy = gradients.get(0);
    Output<?> indices = node.input(1);
    return List.of(
        ops.op("TensorScatterUpdate", dy, indices, ops.zerosLike(node.input(2))),
        ops.zerosLike(indices),
        ops.op("GatherNd", dy, indices));
  }

  /** Gradient of {@code TopKV2}: each value's gradient goes where the value was. */
  static List<Output<?>> topK(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0); // [..., C]
    Output<?> shape = ops.op("Shape", x);
    Output<?> k = ops.op("Reshape", node.input(1), ops.ints(1));
    Output<?> indices =
        ops.op("Reshape", node.output(1), ops.concat(List.of(ops.ints(-1), k))); // [R, k]
    Output<?> rows = ops.op("Size", ops.op("Slice", indices, ops.ints(0, 0), ops.ints(-1, 1)));
    Output<?> classes =
        ops.op(
            "Prod",
            ops.op("Slice", ops.op("ReverseV2", shape, ops.ints(0)), ops.ints(0), ops.ints(1)),
            ops.ints(0));
    Output<?> starts =
        ops.op("Mul", ops.op("Range", ops.integer(0), rows, ops.integer(1)), classes);
    Output<?> flat =
        ops.op(
            "Reshape",
            ops.op("AddV2", indices, ops.op("ExpandDims", starts, ops.integer(1))),
            ops.ints(-1));
    Output<?> updates = ops.op("Reshape", gradients.get(0), ops.ints(-1));
    Output<?> summed = ops.op("UnsortedSegmentSum", updates, flat, ops.op("Size", x));
    return List.of(ops.op("Reshape", summed, shape), ops.zerosLike(node.input(1)));
  }
}
