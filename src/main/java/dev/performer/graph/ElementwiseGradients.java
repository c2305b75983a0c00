package dev.performer.graph;

import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.GraphOperation;
import org.tensorflow.Output;

/** Gradients of ops that work element by element or along one axis. */
final class ElementwiseGradients {
  private ElementwiseGradients() {}

  /**
   * Gradient of {@code SparseSoftmaxCrossEntropyWithLogits}, whose second output is the gradient of
   * its first; the second output's own gradient (second order) is added where there is one.
   */
  static List<Output<?>> sparseCrossEntropy(
      RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> logits = node.input(0); // [N, classes]
    Output<?> result = ops.zerosLike(logits);
    if (RawOps.isPresent(gradients.get(0))) {
      Output<?> perExample = ops.op("ExpandDims", gradients.get(0), ops.integer(-1)); // [N, 1]
      result = ops.op("Mul", perExample, node.output(1));
    }
    if (gradients.size() > 1 && RawOps.isPresent(gradients.get(1))) {
      Output<?> softmax = ops.op("Softmax", logits);
      Output<?> second = gradients.get(1);
      Output<?> mean =
          ops.builder("Sum")
              .addInput(ops.op("Mul", second, softmax))
              .addInput(ops.ints(-1))
              .setAttr("keep_dims", true)
              .build()
              .output(0); // [N, 1]
      result = ops.op("AddV2", result, ops.op("Mul", ops.op("Sub", second, mean), softmax));
    }
    return List.of(result, ops.zerosLike(node.input(1)));
  }

  /** d erfc(x)/dx = −2/√π · exp(−x²). */
  static List<Output<?>> erfc(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0);
    Output<?> slope =
        ops.op(
            "Mul",
            ops.scalar(-2 / Math.sqrt(Math.PI), x),
            ops.op("Exp", ops.op("Neg", ops.op("Square", x))));
    return List.of(ops.op("Mul", gradients.get(0), slope));
  }

  /** d digamma(x)/dx is the trigamma function. */
  static List<Output<?>> digamma(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0);
    Output<?> trigamma = ops.op("Polygamma", ops.op("OnesLike", x), x);
    return List.of(ops.op("Mul", gradients.get(0), trigamma));
  }

  /** {@code ReluGrad(gradients, features)} is linear in its first input. */
  static List<Output<?>> reluGrad(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> features = node.input(1);
    return List.of(ops.op("ReluGrad", gradients.get(0), features), ops.zerosLike(features));
  }

  /** x·log y, 0 where x is 0. */
  static List<Output<?>> xlogy(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0);
    Output<?> y = node.input(1);
    return product(
        ops, node, gradients.get(0), ops.op("Xlogy", notZero(ops, x), y), ops.op("Xdivy", x, y));
  }

  /** x·log(1 + y), 0 where x is 0. */
  static List<Output<?>> xlog1py(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0);
    Output<?> y = node.input(1);
    return product(
        ops,
        node,
        gradients.get(0),
        ops.op("Xlog1py", notZero(ops, x), y),
        ops.op("Xdivy", x, ops.op("AddV2", y, ops.scalar(1, y))));
  }

  /** x/y, 0 where x is 0. */
  static List<Output<?>> xdivy(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0);
    Output<?> y = node.input(1);
    return product(
        ops,
        node,
        gradients.get(0),
        ops.op("Xdivy", notZero(ops, x), y),
        ops.op("Xdivy", ops.op("Neg", x), ops.op("Square", y)));
  }

  /** x·y, 0 where y is 0 whatever x is. */
  static List<Output<?>> mulNoNan(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0);
    Output<?> y = node.input(1);
    Output<?> dy = gradients.get(0);
    return List.of(
        ops.unbroadcast(ops.op("MulNoNan", dy, y), x, y),
        ops.unbroadcast(ops.op("MulNoNan", x, dy), y, x));
  }

  /** x − y·⌊x/y⌋. */
  static List<Output<?>> floorMod(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> quotient = ops.op("FloorDiv", node.input(0), node.input(1));
    return remainder(ops, node, gradients.get(0), quotient);
  }

  /** x − y·trunc(x/y). */
  static List<Output<?>> truncatedMod(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> ratio = ops.op("RealDiv", node.input(0), node.input(1));
    Output<?> quotient =
        ops.op("Mul", ops.op("Sign", ratio), ops.op("Floor", ops.op("Abs", ratio)));
    return remainder(ops, node, gradients.get(0), quotient);
  }

  /** Python's formula; like it, not defined where x is 0. */
  static List<Output<?>> cumprod(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0);
    Output<?> axis = node.input(1);
    boolean exclusive = node.attributes().getAttrBool("exclusive");
    boolean reverse = node.attributes().getAttrBool("reverse");
    Output<?> summed =
        ops.builder("Cumsum")
            .addInput(ops.op("Mul", node.output(0), gradients.get(0)))
            .addInput(axis)
            .setAttr("exclusive", exclusive)
            .setAttr("reverse", !reverse)
            .build()
            .output(0);
    return List.of(ops.op("RealDiv", summed, x), ops.zerosLike(axis));
  }

  /**
   * y_j = log Σ_{i≤j} exp x_i: the gradient of x_i is Σ_{j≥i} g_j·exp(x_i − y_j), summed in the log
   * domain for positive and negative g apart.
   */
  static List<Output<?>> cumulativeLogSumExp(
      RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> dy = gradients.get(0);
    Output<?> positive = logWeighted(ops, node, ops.op("Relu", dy));
    Output<?> negative = logWeighted(ops, node, ops.op("Relu", ops.op("Neg", dy)));
    return List.of(ops.op("Sub", positive, negative), ops.zerosLike(node.input(1)));
  }

  private static Output<?> logWeighted(RawOps ops, GraphOperation node, Output<?> weights) {
    Output<?> terms = ops.op("Sub", ops.op("Log", weights), node.output(0));
    Output<?> summed =
        ops.builder("CumulativeLogsumexp")
            .addInput(terms)
            .addInput(node.input(1))
            .setAttr("exclusive", node.attributes().getAttrBool("exclusive"))
            .setAttr("reverse", !node.attributes().getAttrBool("reverse"))
            .build()
            .output(0);
    return ops.op("Exp", ops.op("AddV2", summed, node.input(0)));
  }

  /** √Σx²: x/norm, where the axes that were summed are put back. */
  static List<Output<?>> euclideanNorm(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    Output<?> x = node.input(0);
    Output<?> axes = node.input(1);
    Output<?> norm =
        ops.builder("EuclideanNorm")
            .addInput(x)
            .addInput(axes)
            .setAttr("keep_dims", true)
            .build()
            .output(0);
    Output<?> dy = ops.op("Reshape", gradients.get(0), ops.op("Shape", norm));
    Output<?> dx = ops.op("Mul", x, ops.op("DivNoNan", dy, norm));
    return List.of(dx, ops.zerosLike(axes));
  }

  /** Steps are flat: their gradient is zero. */
  static List<Output<?>> step(RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    return IntStream.range(0, node.numInputs())
        .<Output<?>>mapToObj(i -> ops.zerosLike(node.input(i)))
        .toList();
  }

  private static Output<?> notZero(RawOps ops, Output<?> x) {
    return ops.cast(ops.op("NotEqual", x, ops.scalar(0, x)), x);
  }

  private static List<Output<?>> product(
      RawOps ops, GraphOperation node, Output<?> dy, Output<?> slopeX, Output<?> slopeY) {
    Output<?> x = node.input(0);
    Output<?> y = node.input(1);
    return List.of(
        ops.unbroadcast(ops.op("Mul", dy, slopeX), x, y),
        ops.unbroadcast(ops.op("Mul", dy, slopeY), y, x));
  }

  private static List<Output<?>> remainder(
      RawOps ops, GraphOperation node, Output<?> dy, Output<?> quotient) {
    Output<?> x = node.input(0);
    Output<?> y = node.input(1);
    return List.of(
        ops.unbroadcast(dy, x, y),
        ops.unbroadcast(ops.op("Neg", ops.op("Mul", dy, quotient)), y, x));
  }
}
