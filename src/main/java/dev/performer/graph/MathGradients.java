package dev.performer.graph;

import static java.util.Arrays.asList;

import java.util.List;
import org.tensorflow.Output;

/** Gradients of elementwise functions, and of the gradients of some. */
final class MathGradients {
  private MathGradients() {}

  static void register(GradientRules rules) {
    first(rules);
    second(rules);
    bessel(rules);
    rules.first(of -> of.mul(of.dy, of.op("Polygamma", of.op("OnesLike", of.x), of.x)), "Digamma");
    rules.first(MathGradients::erfc, "Erfc");
    rules.first(of -> of.mul(of.dy, of.minus(1, of.mul(2, of.mul(of.x, of.result)))), "Dawsn");
    rules.first(of -> of.mul(of.dy, of.op("RealDiv", of.op("Exp", of.x), of.x)), "Expint");
    rules.first(of -> of.mul(of.dy, of.op("Cos", quarterTurns(of))), "FresnelCos");
    rules.first(of -> of.mul(of.dy, of.op("Sin", quarterTurns(of))), "FresnelSin");
    rules.first(MathGradients::spence, "Spence");
    rules.first(MathGradients::complexAbs, "ComplexAbs");
    rules.all(MathGradients::polygamma, "Polygamma");
    rules.all(MathGradients::zeta, "Zeta");
    rules.all(of -> incompleteGamma(of, of.dy), "Igamma");
    rules.all(of -> incompleteGamma(of, of.op("Neg", of.dy)), "Igammac");
    rules.all(MathGradients::incompleteBeta, "Betainc");
    rules.all(
        of -> of.slopes(of.op("Xlogy", of.notZero(), of.y), of.op("Xdivy", of.x, of.y)), "Xlogy");
    rules.all(MathGradients::xlog1py, "Xlog1py");
    rules.all(MathGradients::xdivy, "Xdivy");
    // 0 where y is 0, whatever x is.
    rules.all(
        of -> of.both(of.op("MulNoNan", of.dy, of.y), of.op("MulNoNan", of.x, of.dy)), "MulNoNan");
    rules.all(of -> remainder(of, of.op("FloorDiv", of.x, of.y)), "FloorMod");
    rules.all(MathGradients::truncatedMod, "TruncateMod", "Mod");
    rules.all(of -> List.of(of.op("Cross", of.y, of.dy), of.op("Cross", of.dy, of.x)), "Cross");
  }

  /** Those that pass the gradient of their first input on. */
  private static void first(GradientRules rules) {
    rules.first(of -> of.dy, "EnsureShape", "PreventGradient", "CheckNumericsV2", "Print");
    rules.first(of -> of.dy, "PlaceholderWithDefault", "Snapshot", "DebugIdentityV2");
    rules.first(of -> of.dy, "XlaSharding", "DebugGradientIdentity");
    rules.first(of -> of.dy, "QuantizeAndDequantizeV2");
    rules.all(of -> of.everyInput(of.dy), "AccumulateNV2");
  }

  /** Second order: of the gradient op of a function, from its result a and upstream b. */
  private static void second(GradientRules rules) {
    rules.first(of -> of.op("ReluGrad", of.dy, of.y), "ReluGrad");
    rules.first(of -> of.op("Relu6Grad", of.dy, of.y), "Relu6Grad");
    rules.all(of -> second(of, of.minus(1, of.mul(2, of.x))), "SigmoidGrad");
    rules.all(of -> second(of, of.mul(-2, of.x)), "TanhGrad", "ReciprocalGrad", "InvGrad");
    rules.all(
        of -> second(of, of.mul(-0.5, of.op("Reciprocal", of.op("Square", of.x)))), "SqrtGrad");
    rules.all(of -> second(of, of.mul(-1.5, of.op("Square", of.x))), "RsqrtGrad");
    // These take the upstream gradient first.
    rules.all(
        of -> {
          Output<?> sigmoid = of.op("Sigmoid", of.y);
          return upstream(of, of.op("SigmoidGrad", sigmoid, of.mul(of.dy, of.x)));
        },
        "SoftplusGrad");
    rules.all(
        of -> {
          Output<?> base = of.op("AddV2", of.op("Abs", of.y), of.scalar(1, of.y));
          Output<?> cube = of.mul(of.op("Square", base), base);
          Output<?> slope = of.op("RealDiv", of.mul(-2, of.op("Sign", of.y)), cube);
          return upstream(of, of.mul(of.mul(of.dy, of.x), slope));
        },
        "SoftsignGrad");
    rules.all(
        of -> {
          Output<?> isNegative = of.cast(of.op("Less", of.y, of.scalar(0, of.y)), of.dy);
          return upstream(of, of.mul(of.mul(of.dy, of.x), isNegative));
        },
        "EluGrad",
        "SeluGrad");
  }

  private static List<Output<?>> second(NodeGradient of, Output<?> slope) {
    return List.of(of.mul(of.mul(of.dy, of.y), slope), of.op(of.type(), of.x, of.dy));
  }

  private static List<Output<?>> upstream(NodeGradient of, Output<?> ofValue) {
    return List.of(of.op(of.type(), of.dy, of.y), ofValue);
  }

  /** Abramowitz and Stegun, 9.1.27, 9.1.28, 9.6.26 and 9.6.27. */
  private static void bessel(GradientRules rules) {
    rules.first(of -> of.mul(of.dy, of.op("BesselI1", of.x)), "BesselI0");
    rules.first(of -> of.mul(of.dy, of.op("Neg", of.op("BesselJ1", of.x))), "BesselJ0");
    rules.first(of -> of.mul(of.dy, of.op("Neg", of.op("BesselK1", of.x))), "BesselK0");
    rules.first(of -> of.mul(of.dy, of.op("Neg", of.op("BesselY1", of.x))), "BesselY0");
    rules.first(
        of -> {
          Output<?> shifted = of.mul(of.op("Sign", of.x), of.result);
          return of.mul(of.dy, of.op("Sub", of.op("BesselI1e", of.x), shifted));
        },
        "BesselI0e");
    rules.first(
        of -> of.mul(of.dy, of.op("Sub", of.result, of.op("BesselK1e", of.x))), "BesselK0e");
    rules.first(of -> firstOrder(of, of.op("BesselI0", of.x)), "BesselI1");
    rules.first(of -> firstOrder(of, of.op("BesselJ0", of.x)), "BesselJ1");
    rules.first(of -> firstOrder(of, of.op("BesselY0", of.x)), "BesselY1");
    rules.first(of -> firstOrder(of, of.op("Neg", of.op("BesselK0", of.x))), "BesselK1");
    rules.first(
        of -> {
          Output<?> shifted = of.mul(of.op("Sign", of.x), of.result);
          return firstOrder(of, of.op("Sub", of.op("BesselI0e", of.x), shifted));
        },
        "BesselI1e");
    rules.first(
        of -> firstOrder(of, of.op("Sub", of.result, of.op("BesselK0e", of.x))), "BesselK1e");
  }

  /** zero(x) − y/x, in the limit one half at 0. */
  private static Output<?> firstOrder(NodeGradient of, Output<?> zero) {
    Output<?> slope = of.op("Sub", zero, of.op("RealDiv", of.result, of.x));
    Output<?> isZero = of.op("Equal", of.x, of.scalar(0, of.x));
    return of.mul(of.dy, of.op("SelectV2", isZero, of.scalar(0.5, of.x), slope));
  }

  /** d erfc(x)/dx = −2/√π · exp(−x²). */
  private static Output<?> erfc(NodeGradient of) {
    Output<?> bell = of.op("Exp", of.op("Neg", of.op("Square", of.x)));
    return of.mul(of.dy, of.mul(-2 / Math.sqrt(Math.PI), bell));
  }

  /** π/2·x². */
  private static Output<?> quarterTurns(NodeGradient of) {
    return of.mul(Math.PI / 2, of.op("Square", of.x));
  }

  /** log(x)/(1 − x), in the limit −1 at 1. */
  private static Output<?> spence(NodeGradient of) {
    Output<?> slope = of.op("RealDiv", of.op("Log", of.x), of.minus(1, of.x));
    Output<?> isOne = of.op("Equal", of.x, of.scalar(1, of.x));
    return of.mul(of.dy, of.op("SelectV2", isOne, of.scalar(-1, of.x), slope));
  }

  /** The direction of x; 0 at 0. */
  private static Output<?> complexAbs(NodeGradient of) {
    Output<?> slope = of.op("DivNoNan", of.dy, of.result);
    return of.mul(of.cast(slope, of.x), of.x);
  }

  private static List<Output<?>> polygamma(NodeGradient of) {
    Output<?> next = of.op("Polygamma", of.op("AddV2", of.x, of.scalar(1, of.x)), of.y);
    return asList(null, of.unbroadcast(of.mul(of.dy, next), of.y, of.x));
  }

  private static List<Output<?>> zeta(NodeGradient of) {
    Output<?> next = of.op("Zeta", of.op("AddV2", of.x, of.scalar(1, of.x)), of.y);
    Output<?> slope = of.op("Neg", of.mul(of.x, next));
    return asList(null, of.unbroadcast(of.mul(of.dy, slope), of.y, of.x));
  }

  /** x^(a−1)·exp(−x)/Γ(a) in the log domain, and TensorFlow's own derivative by a. */
  private static List<Output<?>> incompleteGamma(NodeGradient of, Output<?> dy) {
    Output<?> less = of.op("Sub", of.x, of.scalar(1, of.x));
    Output<?> logs =
        of.op("Sub", of.op("Xlogy", less, of.y), of.op("AddV2", of.y, of.op("Lgamma", of.x)));
    return of.both(of.mul(dy, of.op("IgammaGradA", of.x, of.y)), of.mul(dy, of.op("Exp", logs)));
  }

  /** x^(a−1)·(1−x)^(b−1)/B(a, b); like Python none by a and b. */
  private static List<Output<?>> incompleteBeta(NodeGradient of) {
    Output<?> a = of.x;
    Output<?> b = of.y;
    Output<?> x = of.input(2);
    Output<?> one = of.scalar(1, x);
    Output<?> beta = of.op("Sub", of.op("Lgamma", of.op("AddV2", a, b)), of.op("Lgamma", a));
    Output<?> scale = of.op("Sub", beta, of.op("Lgamma", b));
    Output<?> left = of.op("Xlogy", of.op("Sub", a, one), x);
    Output<?> right = of.op("Xlog1py", of.op("Sub", b, one), of.op("Neg", x));
    Output<?> slope = of.op("Exp", of.op("AddV2", of.op("AddV2", left, right), scale));
    return asList(null, null, of.unbroadcast(of.mul(of.dy, slope), x, of.result));
  }

  /** x·log(1 + y), 0 where x is 0. */
  private static List<Output<?>> xlog1py(NodeGradient of) {
    Output<?> slopeY = of.op("Xdivy", of.x, of.op("AddV2", of.y, of.scalar(1, of.y)));
    return of.slopes(of.op("Xlog1py", of.notZero(), of.y), slopeY);
  }

  /** x/y, 0 where x is 0. */
  private static List<Output<?>> xdivy(NodeGradient of) {
    return of.slopes(
        of.op("Xdivy", of.notZero(), of.y),
        of.op("Xdivy", of.op("Neg", of.x), of.op("Square", of.y)));
  }

  /** x − y·trunc(x/y). */
  private static List<Output<?>> truncatedMod(NodeGradient of) {
    Output<?> ratio = of.op("RealDiv", of.x, of.y);
    return remainder(of, of.mul(of.op("Sign", ratio), of.op("Floor", of.op("Abs", ratio))));
  }

  /** Of x − y·quotient, where the quotient is a step. */
  private static List<Output<?>> remainder(NodeGradient of, Output<?> quotient) {
    return of.both(of.dy, of.op("Neg", of.mul(of.dy, quotient)));
  }
}
