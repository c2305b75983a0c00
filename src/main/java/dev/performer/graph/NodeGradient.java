package dev.performer.graph;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.Function;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;

/** The gradient of one node: a rule for each op type that TensorFlow's C++ registry lacks. */
final class NodeGradient extends RawOps {
  private final GraphOperation node;
  private final List<Output<?>> gradients;
  final Output<?> x;
  final Output<?> y;
  final Output<?> dy;

  NodeGradient(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    super(tf);
    this.node = node;
    this.gradients = gradients;
    x = node.input(0);
    y = node.numInputs() > 1 ? node.input(1) : null;
    dy = gradients.get(0);
  }

  /** A rule gives the gradients of the inputs in order, null or left out at the end if none. */
  List<Operand<?>> by(Function<NodeGradient, List<Output<?>>> rule) {
    List<Operand<?>> found = new ArrayList<>(rule.apply(this));
    found.addAll(Collections.nCopies(node.numInputs() - found.size(), null));
    return found;
  }

  Output<?> input(int i) {
    return node.input(i);
  }

  Output<?> output(int i) {
    return node.output(i);
  }

  Output<?> gradient(int output) {
    return orZeros(gradients.get(output), node.output(output));
  }

  boolean isSet(String attribute) {
    return node.attributes().getAttrBool(attribute);
  }

  DataType type(String attribute) {
    return node.attributes().getAttrType(attribute);
  }

  Output<?> zeros(int input) {
    return op("ZerosLike", node.input(input));
  }

  /**
   * {@code SparseSoftmaxCrossEntropyWithLogits}, whose second output is the gradient of its first;
   * the second output's own gradient (second order) is added where there is one.
   */
  Output<?> sparseCrossEntropy() {
    Output<?> result = zeros(0); // [N, classes]
    if (isPresent(dy)) {
      Output<?> perExample = op("ExpandDims", dy, integer(-1)); // [N, 1]
      result = mul(perExample, node.output(1));
    }
    if (gradients.size() > 1 && isPresent(gradients.get(1))) {
      Output<?> second = gradients.get(1);
      Output<?> softmax = op("Softmax", x);
      Output<?> mean = keepingDims("Sum", mul(second, softmax), ints(-1)); // [N, 1]
      result = op("AddV2", result, mul(op("Sub", second, mean), softmax));
    }
    return result;
  }

  /** d erfc(x)/dx = −2/√π · exp(−x²). */
  Output<?> erfc() {
    Output<?> bell = op("Exp", op("Neg", op("Square", x)));
    return mul(dy, mul(scalar(-2 / Math.sqrt(Math.PI), x), bell));
  }

  /** x·log(1 + y), 0 where x is 0. */
  List<Output<?>> xlog1py() {
    Output<?> slopeY = op("Xdivy", x, op("AddV2", y, scalar(1, y)));
    return slopes(op("Xlog1py", notZero(), y), slopeY);
  }

  /** x/y, 0 where x is 0. */
  List<Output<?>> xdivy() {
    return slopes(op("Xdivy", notZero(), y), op("Xdivy", op("Neg", x), op("Square", y)));
  }

  /** x − y·trunc(x/y). */
  List<Output<?>> truncatedMod() {
    Output<?> ratio = op("RealDiv", x, y);
    return remainder(mul(op("Sign", ratio), op("Floor", op("Abs", ratio))));
  }

  /** Of x − y·quotient, where the quotient is a step. */
  List<Output<?>> remainder(Output<?> quotient) {
    return both(dy, op("Neg", mul(dy, quotient)));
  }

  Output<?> notZero() {
    return cast(op("NotEqual", x, scalar(0, x)), x);
  }

  List<Output<?>> slopes(Output<?> slopeX, Output<?> slopeY) {
    return both(mul(dy, slopeX), mul(dy, slopeY));
  }

  /** Of both inputs of a function of two numbers, which broadcasting may have spread. */
  List<Output<?>> both(Output<?> ofX, Output<?> ofY) {
    return List.of(unbroadcast(ofX, x, y), unbroadcast(ofY, y, x));
  }

  /** Python's formula; like it, not defined where x is 0. */
  Output<?> cumprod() {
    return op("RealDiv", backwards("Cumsum", mul(node.output(0), dy)), x);
  }

  /**
   * y_j = log Σ_{i≤j} exp x_i: the gradient of x_i is Σ_{j≥i} g_j·exp(x_i − y_j), summed in the log
   * domain for positive and negative g apart.
   */
  Output<?> cumulativeLogSumExp() {
    Output<?> positive = logWeighted(op("Relu", dy));
    return op("Sub", positive, logWeighted(op("Relu", op("Neg", dy))));
  }

  private Output<?> logWeighted(Output<?> weights) {
    Output<?> terms = op("Sub", op("Log", weights), node.output(0));
    return op("Exp", op("AddV2", backwards("CumulativeLogsumexp", terms), x));
  }

  private Output<?> backwards(String type, Output<?> terms) {
    var builder = builder(type, terms, y);
    builder.setAttr("exclusive", node.attributes().getAttrBool("exclusive"));
    builder.setAttr("reverse", !node.attributes().getAttrBool("reverse"));
    return builder.build().output(0);
  }

  /** √Σx²: x/norm, where the axes that were summed are put back. */
  Output<?> euclideanNorm() {
    Output<?> norm = keepingDims("EuclideanNorm", x, y);
    return mul(x, op("DivNoNan", op("Reshape", dy, op("Shape", norm)), norm));
  }

  /**
   * Dense gradient of an embedding table: rows of the gradient are summed by their index.
   *
   * <p>With batch dimensions each batch entry has a table of its own, {@code [batch…, rows, …]};
   * the tables are laid end to end and the indices moved accordingly.
   */
  Output<?> resourceGather() {
    int batchDims = Math.toIntExact(node.attributes().getAttrInt("batch_dims"));
    Output<?> table = op("VariableShape", x);
    Output<?> rows = op("Prod", slice(table, 0, batchDims + 1), ints(0));
    Output<?> inner = op("Slice", table, ints(batchDims + 1), ints(-1));
    Output<?> updates = op("Reshape", dy, concat(ints(-1), inner));
    Output<?> indices = batchDims == 0 ? y : endToEnd(table, batchDims);
    return op("Reshape", op("UnsortedSegmentSum", updates, flat(indices), rows), table);
  }

  private Output<?> endToEnd(Output<?> table, int batchDims) {
    Output<?> count = op("Prod", slice(op("Shape", y), 0, batchDims), ints(0));
    Output<?> starts = mul(range(count), slice(table, batchDims, batchDims + 1));
    Output<?> shape = concat(op("Reshape", count, ints(1)), ints(-1));
    return op("AddV2", op("Reshape", y, shape), cast(column(starts), y));
  }

  /** Of the diagonals; what they do not take belongs to the value they are padded with. */
  List<Output<?>> matrixDiag() {
    Output<?> diagonal = diagonalOp("MatrixDiagPart", dy, y, scalar(0, dy));
    Output<?> padding = op("Sub", sum(dy), sum(diagonal));
    return Arrays.asList(diagonal, null, null, null, padding);
  }

  List<Output<?>> matrixDiagPart() {
    Output<?> matrix = diagonalOp("MatrixSetDiag", zeros(0), dy, y);
    return Arrays.asList(matrix, null, op("Sub", sum(dy), sum(matrix)));
  }

  /** An op in the version of the node, aligned like it. */
  private Output<?> diagonalOp(String type, Output<?>... inputs) {
    if (node.type().endsWith("V2")) {
      return op(type + "V2", inputs);
    }
    String align = node.attributes().getAttrString("align");
    return op(type + "V3", builder -> builder.setAttr("align", align), inputs);
  }

  private Output<?> sum(Output<?> all) {
    return op("Sum", all, range(op("Rank", all)));
  }

  /** Overwritten elements get none. */
  List<Output<?>> tensorScatterUpdate() {
    Output<?> kept = op("TensorScatterUpdate", dy, y, zeros(2));
    return Arrays.asList(kept, null, op("GatherNd", dy, y));
  }

  /** Each value's gradient goes where the value was. */
  Output<?> topK() {
    Output<?> shape = op("Shape", x); // of [..., C]
    Output<?> k = op("Reshape", y, ints(1));
    Output<?> indices = op("Reshape", node.output(1), concat(ints(-1), k)); // [R, k]
    Output<?> rows = op("Size", op("Slice", indices, ints(0, 0), ints(-1, 1)));
    Output<?> last = slice(op("ReverseV2", shape, ints(0)), 0, 1);
    Output<?> starts = mul(range(rows), op("Prod", last, ints(0)));
    Output<?> places = flat(op("AddV2", indices, column(starts)));
    return op("Reshape", op("UnsortedSegmentSum", flat(dy), places, op("Size", x)), shape);
  }
}
