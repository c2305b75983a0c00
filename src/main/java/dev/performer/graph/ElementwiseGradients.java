package dev.performer.graph;

import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.Output;

/** Gradients of ops that work element by element or along one axis. */
final class ElementwiseGradients {
  private ElementwiseGradients() {}

  /**
   * Gradient of {@code SparseSoftmaxCrossEntropyWithLogits}, whose second output is the gradient of
   * its first; the second output's own gradient (second order) is added where there is one.
   */
  static List<Output<?>> sparseCrossEntropy(NodeGradient of) {
    Output<?> logits = of.x(); // [N, classes]
    Output<?> result = of.none(0);
    if (of.hasDy(0)) {
      Output<?> perExample = of.op("ExpandDims", of.dy(), of.integer(-1)); // [N, 1]
      result = of.mul(perExample, of.node.output(1));
    }
    if (of.hasDy(1)) {
      Output<?> softmax = of.op("Softmax", logits);
      Output<?> mean = of.keepingDims("Sum", of.mul(of.dy(1), softmax), of.ints(-1)); // [N, 1]
      result = of.op("AddV2", result, of.mul(of.op("Sub", of.dy(1), mean), softmax));
    }
    return List.of(result, of.none(1));
  }

  /** d erfc(x)/dx = −2/√π · exp(−x²). */
  static List<Output<?>> erfc(NodeGradient of) {
    Output<?> bell = of.op("Exp", of.op("Neg", of.op("Square", of.x())));
    return List.of(of.mul(of.dy(), of.mul(of.scalar(-2 / Math.sqrt(Math.PI), of.x()), bell)));
  }

  /** d digamma(x)/dx is the trigamma function. */
  static List<Output<?>> digamma(NodeGradient of) {
    return List.of(of.mul(of.dy(), of.op("Polygamma", of.op("OnesLike", of.x()), of.x())));
  }

  /** {@code ReluGrad(gradients, features)} is linear in its first input. */
  static List<Output<?>> reluGrad(NodeGradient of) {
    return List.of(of.op("ReluGrad", of.dy(), of.y()), of.none(1));
  }

  /** x·log y, 0 where x is 0. */
  static List<Output<?>> xlogy(NodeGradient of) {
    return product(of, of.op("Xlogy", notZero(of), of.y()), of.op("Xdivy", of.x(), of.y()));
  }

  /** x·log(1 + y), 0 where x is 0. */
  static List<Output<?>> xlog1py(NodeGradient of) {
    Output<?> onePlus = of.op("AddV2", of.y(), of.scalar(1, of.y()));
    return product(of, of.op("Xlog1py", notZero(of), of.y()), of.op("Xdivy", of.x(), onePlus));
  }

  /** x/y, 0 where x is 0. */
  static List<Output<?>> xdivy(NodeGradient of) {
    Output<?> slopeY = of.op("Xdivy", of.op("Neg", of.x()), of.op("Square", of.y()));
    return product(of, of.op("Xdivy", notZero(of), of.y()), slopeY);
  }

  /** x·y, 0 where y is 0 whatever x is. */
  static List<Output<?>> mulNoNan(NodeGradient of) {
    return of.ofBoth(of.op("MulNoNan", of.dy(), of.y()), of.op("MulNoNan", of.x(), of.dy()));
  }

  /** x − y·⌊x/y⌋. */
  static List<Output<?>> floorMod(NodeGradient of) {
    return remainder(of, of.op("FloorDiv", of.x(), of.y()));
  }

  /** x − y·trunc(x/y). */
  static List<Output<?>> truncatedMod(NodeGradient of) {
    Output<?> ratio = of.op("RealDiv", of.x(), of.y());
    return remainder(of, of.mul(of.op("Sign", ratio), of.op("Floor", of.op("Abs", ratio))));
  }

  /** Python's formula; like it, not defined where x is 0. */
  static List<Output<?>> cumprod(NodeGradient of) {
    Output<?> summed = backwards(of, "Cumsum", of.mul(of.node.output(0), of.dy()));
    return List.of(of.op("RealDiv", summed, of.x()), of.none(1));
  }

  /**
   * y_j = log Σ_{i≤j} exp x_i: the gradient of x_i is Σ_{j≥i} g_j·exp(x_i − y_j), summed in the log
   * domain for positive and negative g apart.
   */
  static List<Output<?>> cumulativeLogSumExp(NodeGradient of) {
    Output<?> positive = logWeighted(of, of.op("Relu", of.dy()));
    Output<?> negative = logWeighted(of, of.op("Relu", of.op("Neg", of.dy())));
    return List.of(of.op("Sub", positive, negative), of.none(1));
  }

  private static Output<?> logWeighted(NodeGradient of, Output<?> weights) {
    Output<?> terms = of.op("Sub", of.op("Log", weights), of.node.output(0));
    return of.op("Exp", of.op("AddV2", backwards(of, "CumulativeLogsumexp", terms), of.x()));
  }

  /** Accumulates along the node's axis, from its other end. */
  private static Output<?> backwards(NodeGradient of, String type, Output<?> terms) {
    return of.builder(type)
        .addInput(terms)
        .addInput(of.y())
        .setAttr("exclusive", of.flag("exclusive"))
        .setAttr("reverse", !of.flag("reverse"))
        .build()
        .output(0);
  }

  /** √Σx²: x/norm, where the axes that were summed are put back. */
  static List<Output<?>> euclideanNorm(NodeGradient of) {
    Output<?> norm = of.keepingDims("EuclideanNorm", of.x(), of.y());
    Output<?> dy = of.op("Reshape", of.dy(), of.op("Shape", norm));
    return List.of(of.mul(of.x(), of.op("DivNoNan", dy, norm)), of.none(1));
  }

  /** Steps are flat: their gradient is zero. */
  static List<Output<?>> step(NodeGradient of) {
    return IntStream.range(0, of.node.numInputs()).<Output<?>>mapToObj(of::none).toList();
  }

  private static Output<?> notZero(NodeGradient of) {
    return of.cast(of.op("NotEqual", of.x(), of.scalar(0, of.x())), of.x());
  }

  private static List<Output<?>> product(NodeGradient of, Output<?> slopeX, Output<?> slopeY) {
    return of.ofBoth(of.mul(of.dy(), slopeX), of.mul(of.dy(), slopeY));
  }

  private static List<Output<?>> remainder(NodeGradient of, Output<?> quotient) {
    return of.ofBoth(of.dy(), of.op("Neg", of.mul(of.dy(), quotient)));
  }
}
