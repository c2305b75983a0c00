package dev.performer.graph;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;

/**
 * A node and the gradients of its outputs, for a rule that gives those of its inputs: {@code x} and
 * {@code y} are its first inputs, {@code result} is its first output.
 */
final class NodeGradient extends RawOps {
  private final GraphOperation node;
  private final List<Output<?>> gradients;
  final Output<?> x;
  final Output<?> y;
  final Output<?> result;
  final Output<?> dy;

  NodeGradient(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    super(tf);
    this.node = node;
    this.gradients = gradients;
    x = node.input(0);
    y = node.numInputs() > 1 ? node.input(1) : null;
    result = node.output(0);
    dy = gradients.get(0);
  }

  /** A rule gives the gradients of the inputs in order, null or left out at the end if none. */
  List<Operand<?>> by(Function<NodeGradient, List<Output<?>>> rule) {
    List<Operand<?>> found = new ArrayList<>(rule.apply(this));
    found.addAll(Collections.nCopies(node.numInputs() - found.size(), null));
    return found;
  }

  String type() {
    return node.type();
  }

  /** Fails with a reason of the node's unless a condition holds. */
  void require(boolean condition, String reason) {
    if (!condition) {
      throw new Refusal(new GradientObstacle(node.type(), node.name(), "", reason));
    }
  }

  Output<?> input(int number) {
    return node.input(number);
  }

  /** All from a number on. */
  Output<?>[] inputs(int from) {
    return IntStream.range(from, node.numInputs()).mapToObj(node::input).toArray(Output<?>[]::new);
  }

  Output<?> output(int number) {
    return node.output(number);
  }

  Output<?> gradient(int output) {
    return gradients.get(output);
  }

  boolean hasGradient(int output) {
    return isPresent(gradients.get(output));
  }

  Output<?> gradientOrZeros(int output) {
    return hasGradient(output) ? gradient(output) : op("ZerosLike", node.output(output));
  }

  DataType type(String attribute) {
    return node.attributes().getAttrType(attribute);
  }

  Output<?> zeros(int input) {
    return op("ZerosLike", node.input(input));
  }

  List<Output<?>> everyInput(Output<?> gradient) {
    return Collections.nCopies(node.numInputs(), gradient);
  }

  boolean isReal(Output<?> value) {
    return value.dataType() == DataType.DT_FLOAT || value.dataType() == DataType.DT_DOUBLE;
  }

  boolean flag(String attribute) {
    return node.attributes().getAttrBool(attribute);
  }

  long integer(String attribute) {
    return node.attributes().getAttrInt(attribute);
  }

  List<String> strings(String attribute) {
    return List.of(node.attributes().getAttrStringList(attribute));
  }

  /** For an op that has some attributes of the node. */
  UnaryOperator<OperationBuilder> same(String... attributes) {
    return builder -> {
      for (String name : attributes) {
        builder.setAttr(name, node.attributes().getAttrValueProto(name));
      }
      return builder;
    };
  }

  /**
   * {@code SparseSoftmaxCrossEntropyWithLogits}, whose second output is the gradient of its first;
   * the second output's own gradient (second order) is added where there is one.
   */
  Output<?> sparseCrossEntropy() {
    Output<?> found = zeros(0); // [N, classes]
    if (isPresent(dy)) {
      Output<?> perExample = op("ExpandDims", dy, integer(-1)); // [N, 1]
      found = mul(perExample, node.output(1));
    }
    if (hasGradient(1)) {
      Output<?> second = gradients.get(1);
      Output<?> softmax = op("Softmax", x);
      Output<?> mean = keepingDims("Sum", mul(second, softmax), ints(-1)); // [N, 1]
      found = op("AddV2", found, mul(op("Sub", second, mean), softmax));
    }
    return found;
  }

  /** The second output is the loss by logits, {@code [L, B, classes]}. */
  Output<?> connectionist() {
    Output<?> wide = op("ExpandDims", op("ExpandDims", dy, integer(-1)), integer(0));
    return mul(wide, node.output(1));
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
    var builder = builder(type, terms, y).setAttr("exclusive", flag("exclusive"));
    return builder.setAttr("reverse", !flag("reverse")).build().output(0);
  }

  /** √Σx²: x/norm, where the axes that were summed are put back. */
  Output<?> euclideanNorm() {
    Output<?> norm = keepingDims("EuclideanNorm", x, y);
    return mul(x, op("DivNoNan", op("Reshape", dy, op("Shape", norm)), norm));
  }
}
