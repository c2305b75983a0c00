package dev.performer.graph;

import java.util.List;
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
  static List<Output<?>> resourceGather(NodeGradient of) {
    int batchDims = Math.toIntExact(of.node.attributes().getAttrInt("batch_dims"));
    Output<?> table = of.op("VariableShape", of.x());
    Output<?> rows = of.op("Prod", of.slice(table, 0, batchDims + 1), of.ints(0));
    Output<?> inner = of.sliceFrom(table, batchDims + 1);
    Output<?> updates = of.op("Reshape", of.dy(), of.concat(List.of(of.ints(-1), inner)));
    Output<?> flat = of.flat(moved(of, of.y(), table, batchDims));
    Output<?> summed = of.op("UnsortedSegmentSum", updates, flat, rows);
    return List.of(of.op("Reshape", summed, table), of.none(1));
  }

  private static Output<?> moved(RawOps of, Output<?> indices, Output<?> table, int batchDims) {
    if (batchDims == 0) {
      return indices;
    }
    Output<?> batch = of.slice(of.op("Shape", indices), 0, batchDims);
    Output<?> count = of.op("Prod", batch, of.ints(0));
    Output<?> perBatch = of.slice(table, batchDims, batchDims + 1);
    Output<?> starts = of.mul(of.range(count), perBatch);
    Output<?> shape = of.concat(List.of(of.op("Reshape", count, of.ints(1)), of.ints(-1)));
    Output<?> rows = of.op("Reshape", indices, shape);
    return of.op("AddV2", rows, of.cast(of.column(starts), indices));
  }

  /** Gradient of {@code ResourceGatherNd}: updates scattered and summed. */
  static List<Output<?>> resourceGatherNd(NodeGradient of) {
    Output<?> shape = of.cast(of.op("VariableShape", of.x()), of.y());
    return List.of(of.op("ScatterNd", of.y(), of.dy(), shape), of.none(1));
  }

  /**
   * Gradient of {@code MatrixDiagV2/V3} with respect to the diagonals. What they do not take of it
   * belongs to the value they are padded with.
   */
  static List<Output<?>> matrixDiag(NodeGradient of) {
    Output<?> diagonal = diagonalOp(of, "MatrixDiagPart", of.dy(), of.y(), of.scalar(0, of.dy()));
    Output<?> padding = of.op("Sub", sum(of, of.dy()), sum(of, diagonal));
    return List.of(diagonal, of.none(1), of.none(2), of.none(3), padding);
  }

  /** Gradient of {@code MatrixDiagPartV2/V3}: the diagonals put back into a zero matrix. */
  static List<Output<?>> matrixDiagPart(NodeGradient of) {
    Output<?> dx = diagonalOp(of, "MatrixSetDiag", of.none(0), of.dy(), of.y());
    return List.of(dx, of.none(1), of.op("Sub", sum(of, of.dy()), sum(of, dx)));
  }

  /** An op in the version of the node, aligned like it. */
  private static Output<?> diagonalOp(NodeGradient of, String type, Output<?>... inputs) {
    boolean third = of.node.type().endsWith("V3");
    OperationBuilder builder = of.builder(type + (third ? "V3" : "V2"));
    for (Output<?> input : inputs) {
      builder.addInput(input);
    }
    if (third) {
      builder.setAttr("align", of.node.attributes().getAttrString("align"));
    }
    return builder.build().output(0);
  }

  private static Output<?> sum(RawOps of, Output<?> x) {
    return of.op("Sum", x, of.range(of.op("Rank", x)));
  }

  /** Gradient of {@code TensorScatterAdd}. */
  static List<Output<?>> tensorScatterAdd(NodeGradient of) {
    return List.of(of.dy(), of.none(1), of.op("GatherNd", of.dy(), of.y()));
  }

  /** Gradient of {@code TensorScatterUpdate}: overwritten elements get none. */
  static List<Output<?>> tensorScatterUpdate(NodeGradient of) {
    Output<?> kept = of.op("TensorScatterUpdate", of.dy(), of.y(), of.none(2));
    return List.of(kept, of.none(1), of.op("GatherNd", of.dy(), of.y()));
  }

  /** Gradient of {@code TopKV2}: each value's gradient goes where the value was. */
  static List<Output<?>> topK(NodeGradient of) {
    Output<?> shape = of.op("Shape", of.x()); // of [..., C]
    Output<?> k = of.op("Reshape", of.y(), of.ints(1));
    Output<?> indices =
        of.op("Reshape", of.node.output(1), of.concat(List.of(of.ints(-1), k))); // [R, k]
    Output<?> rows = of.op("Size", of.op("Slice", indices, of.ints(0, 0), of.ints(-1, 1)));
    Output<?> last = of.slice(of.op("ReverseV2", shape, of.ints(0)), 0, 1);
    Output<?> starts = of.mul(of.range(rows), of.op("Prod", last, of.ints(0)));
    Output<?> flat = of.flat(of.op("AddV2", indices, of.column(starts)));
    Output<?> summed = of.op("UnsortedSegmentSum", of.flat(of.dy()), flat, of.op("Size", of.x()));
    return List.of(of.op("Reshape", summed, shape), of.none(1));
  }
}
