package dev.performer.graph;

import java.util.List;
import org.tensorflow.Output;

/** Gradients of discrete Fourier transforms: each is linear, so that its adjoint takes dy back. */
final class FourierGradients {
  private FourierGradients() {}

  static void register(GradientRules rules) {
    List<String> dimensions = List.of("", "2D", "3D");
    for (int i = 0; i < dimensions.size(); i++) {
      int count = i + 1;
      String suffix = dimensions.get(i);
      rules.first(
          of -> of.mul(of.op("IFFT" + suffix, of.dy), size(of, of.dy, sizes(of, of.x, count))),
          "FFT" + suffix);
      rules.first(
          of ->
              of.op(
                  "Mul",
                  of.op("FFT" + suffix, of.dy),
                  of.op("Reciprocal", size(of, of.dy, sizes(of, of.x, count)))),
          "IFFT" + suffix);
      rules.first(of -> ofReal(of, suffix, count), "RFFT" + suffix);
      rules.first(of -> toReal(of, suffix, count), "IRFFT" + suffix);
    }
  }

  /** Σ_k Re(g_k·e^(2πikn/N)) over the half that is there: the inverse transform of g and zeros. */
  private static Output<?> ofReal(NodeGradient of, String suffix, int count) {
    Output<?> whole = filled(of, of.dy, of.concat(batch(of, of.x, count), of.y));
    Output<?> inverse = of.op("IFFT" + suffix, whole);
    Output<?> real = of.op("Real", b -> b.setAttr("Tout", of.x.dataType()), inverse);
    return filled(of, of.mul(real, size(of, real, of.y)), of.op("Shape", of.x));
  }

  /** What stands for its conjugate, too, counts twice: all but 0 and the Nyquist frequency. */
  private static Output<?> toReal(NodeGradient of, String suffix, int count) {
    Output<?> half =
        of.op("RFFT" + suffix, b -> b.setAttr("Tcomplex", of.x.dataType()), of.dy, of.y);
    Output<?> length = of.op("GatherV2", of.y, of.integer(count - 1), of.integer(0));
    Output<?> frequencies =
        of.range(of.op("AddV2", of.op("FloorDiv", length, of.integer(2)), of.integer(1)));
    Output<?> isZero = of.op("Equal", frequencies, of.integer(0));
    Output<?> isNyquist = of.op("Equal", of.mul(of.integer(2), frequencies), length);
    Output<?> isSingle = of.cast(of.op("LogicalOr", isZero, isNyquist), of.number(0));
    Output<?> weights = of.cast(of.minus(2, isSingle), half);
    Output<?> scaled = of.mul(of.mul(half, weights), of.op("Reciprocal", size(of, half, of.y)));
    return filled(of, scaled, of.op("Shape", of.x));
  }

  private static Output<?> size(NodeGradient of, Output<?> like, Output<?> sizes) {
    return of.cast(of.op("Prod", sizes, of.ints(0)), like);
  }

  /** The last sizes of a tensor. */
  private static Output<?> sizes(NodeGradient of, Output<?> x, int count) {
    Output<?> from = of.op("Sub", of.op("Reshape", of.op("Rank", x), of.ints(1)), of.ints(count));
    return of.op("Slice", of.op("Shape", x), from, of.ints(count));
  }

  /** All sizes of a tensor but the last. */
  private static Output<?> batch(NodeGradient of, Output<?> x, int count) {
    Output<?> rank = of.op("Reshape", of.op("Rank", x), of.ints(1));
    return of.op("Slice", of.op("Shape", x), of.ints(0), of.op("Sub", rank, of.ints(count)));
  }

  /** With zeros behind, where a transform takes a part of its input only. */
  private static Output<?> filled(NodeGradient of, Output<?> x, Output<?> shape) {
    Output<?> missing = of.op("Sub", shape, of.op("Shape", x));
    Output<?> both = of.concat(of.op("ZerosLike", missing), missing);
    Output<?> pairs = of.op("Transpose", of.op("Reshape", both, of.ints(2, -1)), of.ints(1, 0));
    return of.op("Pad", x, pairs);
  }
}
