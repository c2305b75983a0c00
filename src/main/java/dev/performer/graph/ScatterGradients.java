package dev.performer.graph;

import static java.util.Arrays.asList;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.tensorflow.GraphOperation;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;

/** Gradients of what gathers, scatters and sums by index, sparse tensors among it. */
final class ScatterGradients {
  private ScatterGradients() {}

  static void register(GradientRules rules) {
    rules.first(ScatterGradients::topK, "TopKV2");
    rules.first(ScatterGradients::nthElement, "NthElement");
    rules.first(ScatterGradients::resourceGather, "ResourceGather");
    rules.first(
        of -> of.op("ScatterNd", of.y, of.dy, of.cast(of.op("VariableShape", of.x), of.y)),
        "ResourceGatherNd");
    rules.all(of -> asList(of.dy, null, of.op("GatherNd", of.dy, of.y)), "TensorScatterAdd");
    rules.all(
        of -> asList(of.dy, null, of.op("Neg", of.op("GatherNd", of.dy, of.y))),
        "TensorScatterSub");
    rules.all(ScatterGradients::tensorScatterUpdate, "TensorScatterUpdate");
    rules.all(ScatterGradients::tensorScatterExtreme, "TensorScatterMin", "TensorScatterMax");
    rules.all(ScatterGradients::stridedSliceUpdate, "TensorStridedSliceUpdate");
    rules.all(of -> asList(null, null, null, null, slice(of, of.dy)), "StridedSliceGrad");
    rules.first(ScatterGradients::segmentMean, "SegmentMean");
    rules.first(ScatterGradients::segmentExtreme, "SegmentMin", "SegmentMax");
    rules.first(of -> product(of, of.y, null), "SegmentProd");
    rules.first(
        of -> product(of, of.op("Maximum", of.y, of.op("ZerosLike", of.y)), of.input(2)),
        "UnsortedSegmentProd");
    for (String kind : List.of("Sum", "Mean", "SqrtN")) {
      String op = "SparseSegment" + kind;
      rules.first(of -> sparseSegment(of, op + "Grad"), op, op + "WithNumSegments");
    }
    rules.all(ScatterGradients::sparseDenseMatMul, "SparseTensorDenseMatMul");
    rules.all(ScatterGradients::sparseToDense, "SparseToDense");
    rules.all(ScatterGradients::sparseReduceSum, "SparseReduceSum");
    rules.all(ScatterGradients::sparseSoftmax, "SparseSoftmax");
    rules.all(ScatterGradients::sparseReorder, "SparseReorder");
    rules.all(ScatterGradients::sparseFillEmptyRows, "SparseFillEmptyRows");
    rules.all(ScatterGradients::raggedToTensor, "RaggedTensorToTensor");
    rules.all(ScatterGradients::raggedToSparse, "RaggedTensorToSparse");
    rules.first(of -> of.op("Reverse", of.dy, of.y), "Reverse");
  }

  /** Each value's gradient goes where the value was. */
  private static Output<?> topK(NodeGradient of) {
    Output<?> shape = of.op("Shape", of.x); // of [..., C]
    Output<?> k = of.op("Reshape", of.y, of.ints(1));
    Output<?> indices = of.op("Reshape", of.output(1), of.concat(of.ints(-1), k)); // [R, k]
    Output<?> rows = of.op("Size", of.op("Slice", indices, of.ints(0, 0), of.ints(-1, 1)));
    Output<?> starts = of.mul(of.range(rows), of.op("Prod", of.last(of.x), of.ints(0)));
    Output<?> places = of.flat(of.op("AddV2", indices, of.column(starts)));
    Output<?> sums = of.op("UnsortedSegmentSum", of.flat(of.dy), places, of.op("Size", of.x));
    return of.op("Reshape", sums, shape);
  }

  /** Shared by those that are equal. */
  private static Output<?> nthElement(NodeGradient of) {
    Output<?> equal = of.op("Equal", of.op("ExpandDims", of.result, of.integer(-1)), of.x);
    Output<?> chosen = of.cast(equal, of.dy);
    Output<?> count = of.keepingDims("Sum", chosen, of.ints(-1));
    Output<?> share = of.op("RealDiv", of.op("ExpandDims", of.dy, of.integer(-1)), count);
    return of.mul(chosen, share);
  }

  /**
   * Dense gradient of an embedding table: rows of the gradient are summed by their index.
   *
   * <p>With batch dimensions each batch entry has a table of its own, {@code [batch…, rows, …]};
   * the tables are laid end to end and the indices moved accordingly.
   */
  private static Output<?> resourceGather(NodeGradient of) {
    int batchDims = Math.toIntExact(of.integer("batch_dims"));
    Output<?> table = tableShape(of);
    Output<?> rows = of.op("Prod", of.slice(table, 0, batchDims + 1), of.ints(0));
    Output<?> inner = of.op("Slice", table, of.ints(batchDims + 1), of.ints(-1));
    Output<?> updates = of.op("Reshape", of.dy, of.concat(of.ints(-1), inner));
    Output<?> indices = batchDims == 0 ? of.y : endToEnd(of, table, batchDims);
    Output<?> sums = of.op("UnsortedSegmentSum", updates, of.flat(indices), rows);
    return of.op("Reshape", sums, table);
  }

  /** A constant where the graph has it, so that sizes are known before it runs. */
  private static Output<?> tableShape(NodeGradient of) {
    GraphOperation handle = (GraphOperation) of.x.op();
    boolean isHandle = handle.type().equals("VarHandleOp");
    Shape shape = isHandle ? handle.attributes().getAttrShape("shape") : Shape.unknown();
    return shape.hasUnknownDimension()
        ? of.op("VariableShape", of.x)
        : of.ints(LongStream.of(shape.asArray()).mapToInt(Math::toIntExact).toArray());
  }

  private static Output<?> endToEnd(NodeGradient of, Output<?> table, int batchDims) {
    Output<?> count = of.op("Prod", of.slice(of.op("Shape", of.y), 0, batchDims), of.ints(0));
    Output<?> starts = of.mul(of.range(count), of.slice(table, batchDims, batchDims + 1));
    Output<?> shape = of.concat(of.op("Reshape", count, of.ints(1)), of.ints(-1));
    Output<?> rows = of.op("Reshape", of.y, shape);
    return of.op("AddV2", rows, of.cast(of.column(starts), of.y));
  }

  /** Overwritten elements get none. */
  private static List<Output<?>> tensorScatterUpdate(NodeGradient of) {
    Output<?> kept = of.op("TensorScatterUpdate", of.dy, of.y, of.zeros(2));
    return asList(kept, null, of.op("GatherNd", of.dy, of.y));
  }

  /** Shared by those that are equal to the result. */
  private static List<Output<?>> tensorScatterExtreme(NodeGradient of) {
    Output<?> updates = of.input(2);
    Output<?> old = of.cast(of.op("Equal", of.x, of.result), of.dy);
    Output<?> after = of.op("GatherNd", of.result, of.y);
    Output<?> chosen = of.cast(of.op("Equal", updates, after), of.dy);
    Output<?> count = of.op("AddV2", old, of.op("TensorScatterAdd", of.zeros(0), of.y, chosen));
    Output<?> share = of.op("RealDiv", of.dy, count);
    Output<?> ofUpdates = of.mul(of.op("GatherNd", share, of.y), chosen);
    return asList(of.mul(share, old), null, ofUpdates);
  }

  private static List<Output<?>> stridedSliceUpdate(NodeGradient of) {
    Output<?> kept =
        of.op(of.type(), of.same(SLICE), of.dy, of.y, of.input(2), of.input(3), of.zeros(4));
    return asList(kept, null, null, null, slice(of, of.dy));
  }

  private static final String[] SLICE = {
    "begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"
  };

  private static Output<?> slice(NodeGradient of, Output<?> x) {
    return of.op("StridedSlice", of.same(SLICE), x, of.y, of.input(2), of.input(3));
  }

  private static Output<?> segmentMean(NodeGradient of) {
    Output<?> ones = of.op("Fill", of.op("Shape", of.y), of.scalar(1, of.dy));
    Output<?> counts = of.op("SegmentSum", ones, of.y);
    Output<?> share = of.op("DivNoNan", of.dy, of.toRankOf(counts, of.dy));
    return of.gather(share, of.y);
  }

  /** Shared by those that are equal to the result. */
  private static Output<?> segmentExtreme(NodeGradient of) {
    Output<?> chosen = of.cast(of.op("Equal", of.x, of.gather(of.result, of.y)), of.dy);
    Output<?> share = of.op("DivNoNan", of.dy, of.op("SegmentSum", chosen, of.y));
    return of.mul(chosen, of.gather(share, of.y));
  }

  /**
   * The product of all others in the segment: where an element is zero, of those that are not,
   * unless there is a second zero.
   *
   * @param ids not negative
   * @param segments how many there are; null where the ids are sorted. Negative ids are dropped
   */
  private static Output<?> product(NodeGradient of, Output<?> ids, Output<?> segments) {
    Output<?> zero = of.scalar(0, of.x);
    Output<?> isZero = of.op("Equal", of.x, zero);
    Output<?> zeros = segments(of, "Sum", of.cast(isZero, of.x), segments);
    Output<?> isLost = of.op("Greater", zeros, of.scalar(1, of.x));
    Output<?> dy = of.op("SelectV2", isLost, zero, of.dy);
    Output<?> others = of.op("SelectV2", isZero, of.scalar(1, of.x), of.x);
    Output<?> ofOthers = of.gather(segments(of, "Prod", others, segments), ids);
    Output<?> quotient = of.op("RealDiv", of.gather(of.result, ids), others);
    Output<?> slope = of.op("SelectV2", isZero, ofOthers, quotient);
    Output<?> gradient = of.mul(of.gather(dy, ids), slope);
    if (segments == null) {
      return gradient;
    }
    Output<?> isKept = of.op("GreaterEqual", of.y, of.op("ZerosLike", of.y));
    return of.op("SelectV2", of.toRankOf(isKept, gradient), gradient, zero);
  }

  private static Output<?> segments(
      NodeGradient of, String reduction, Output<?> x, Output<?> segments) {
    return segments == null
        ? of.op("Segment" + reduction, x, of.y)
        : of.op("UnsortedSegment" + reduction, x, of.y, segments);
  }

  private static Output<?> sparseSegment(NodeGradient of, String op) {
    Output<?> rows = of.op("Prod", of.slice(of.op("Shape", of.x), 0, 1), of.ints(0));
    return of.op(op, of.dy, of.y, of.input(2), rows);
  }

  /** Of indices, values and shape of a sparse matrix and a dense one, either adjoint. */
  private static List<Output<?>> sparseDenseMatMul(NodeGradient of) {
    of.require(of.isReal(of.y), "its gradient is of real numbers only");
    boolean isSparseAdjoint = of.flag("adjoint_a");
    boolean isDenseAdjoint = of.flag("adjoint_b");
    Output<?> dense = of.input(3);
    Output<?> ofDense =
        of.op(
            of.type(),
            builder -> builder.setAttr("adjoint_a", !isSparseAdjoint),
            of.x,
            of.y,
            of.input(2),
            of.dy);
    Output<?> rows = of.gatherLast(of.x, of.integer(isSparseAdjoint ? 1 : 0));
    Output<?> columns = of.gatherLast(of.x, of.integer(isSparseAdjoint ? 0 : 1));
    Output<?> right = of.gather(isDenseAdjoint ? of.adjoint(dense) : dense, columns);
    Output<?> ofValues = of.op("Sum", of.mul(of.gather(of.dy, rows), right), of.ints(1));
    return asList(null, ofValues, null, isDenseAdjoint ? of.adjoint(ofDense) : ofDense);
  }

  /** Of indices, shape, values and what is elsewhere. */
  private static List<Output<?>> sparseToDense(NodeGradient of) {
    Output<?> rank = of.op("Reshape", of.op("Size", of.y), of.ints(1));
    Output<?> indices = of.op("Reshape", of.x, of.concat(of.ints(-1), rank)); // [N, rank]
    Output<?> all = of.op("GatherNd", of.dy, indices);
    Output<?> ofDefault = of.op("Sub", of.sum(of.dy), of.sum(all));
    return asList(null, null, of.unbroadcast(all, of.input(2), all), ofDefault);
  }

  /** Of indices, values, shape and axes. */
  private static List<Output<?>> sparseReduceSum(NodeGradient of) {
    Output<?> shape = of.input(2);
    Output<?> size = of.op("Size", shape);
    Output<?> axes = of.op("FloorMod", of.op("AddV2", of.flat(of.input(3)), size), size);
    Output<?> ones = of.op("OnesLike", axes);
    Output<?> kept =
        of.op(
            "TensorScatterUpdate", shape, of.column(axes), of.cast(ones, shape)); // 1 where summed
    Output<?> places = of.op("FloorMod", of.x, kept);
    return asList(null, of.op("GatherNd", of.op("Reshape", of.dy, kept), places));
  }

  /** Over the last dimension, of indices, values and shape. */
  private static List<Output<?>> sparseSoftmax(NodeGradient of) {
    Output<?> rank = of.op("Size", of.input(2));
    Output<?> outer = of.op("Reshape", of.op("Sub", rank, of.integer(1)), of.ints(1));
    Output<?> sizes = of.op("Slice", of.input(2), of.ints(0), outer);
    Output<?> strides =
        of.builder("Cumprod", sizes, of.integer(0))
            .setAttr("exclusive", true)
            .setAttr("reverse", true)
            .build()
            .output(0);
    Output<?> places = of.op("Slice", of.x, of.ints(0, 0), of.concat(of.ints(-1), outer));
    Output<?> rows = of.op("Sum", of.mul(places, strides), of.ints(1));
    Output<?> count = of.op("Prod", sizes, of.ints(0));
    Output<?> weighted = of.mul(of.result, of.dy);
    Output<?> mean = of.gather(of.op("UnsortedSegmentSum", weighted, rows, count), rows);
    return asList(null, of.mul(of.op("Sub", of.dy, mean), of.result));
  }

  private static List<Output<?>> sparseReorder(NodeGradient of) {
    if (!of.hasGradient(1)) {
      return List.of();
    }
    Output<?> size = of.op("Size", of.y);
    var order = of.builder(of.type(), of.x, of.range(size), of.input(2)).build().output(1);
    return asList(null, of.op("UnsortedSegmentSum", of.gradient(1), order, size));
  }

  private static List<Output<?>> sparseFillEmptyRows(NodeGradient of) {
    if (!of.hasGradient(1)) {
      return List.of();
    }
    var both = of.builder("SparseFillEmptyRowsGrad", of.output(3), of.gradient(1)).build();
    return asList(null, both.output(0), null, both.output(1));
  }

  /**
   * Of shape, values and default, then the partitions: the same op on numbers 1… in the place of
   * the values shows where each one went, 0 where the default is.
   */
  private static List<Output<?>> raggedToTensor(NodeGradient of) {
    var partitions = of.inputs(3);
    boolean hasFirst = of.strings("row_partition_types").get(0).equals("FIRST_DIM_SIZE");
    int outer = partitions.length + (hasFirst ? 0 : 1);
    Output<?> wanted = of.slice(of.op("Shape", of.result), 0, outer);
    Output<?> shape = of.op("Shape", of.y); // [N, inner…]
    Output<?> count = of.op("Prod", of.slice(shape, 0, 1), of.ints(0));
    Output<?> numbers = of.op("AddV2", of.range(count), of.integer(1));
    var places = of.builder(of.type(), wanted, numbers, of.integer(0)); // [B, L…]
    places.addInputList(partitions);
    Output<?> place = of.same("row_partition_types").apply(places).build().output(0);
    Output<?> inner = of.op("Slice", shape, of.ints(1), of.ints(-1));
    Output<?> rows = of.op("Reshape", of.dy, of.concat(of.ints(-1), inner));
    Output<?> segments = of.op("AddV2", count, of.integer(1));
    Output<?> sums = of.op("UnsortedSegmentSum", rows, of.flat(place), segments);
    Output<?> ofValues = of.gather(sums, numbers);
    Output<?> ofDefault = of.gather(sums, of.integer(0));
    return asList(null, ofValues, of.unbroadcast(ofDefault, of.input(2), ofDefault));
  }

  /** Of the splits, then the values, which come out as they are. */
  private static List<Output<?>> raggedToSparse(NodeGradient of) {
    List<Output<?>> gradients = new ArrayList<>(of.everyInput(null));
    gradients.set(gradients.size() - 1, of.hasGradient(1) ? of.gradient(1) : null);
    return gradients;
  }
}
