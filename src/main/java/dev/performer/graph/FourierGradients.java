package dev.performer.graph;

import org.tensorflow.Output;
import org.tensorflow.proto.DataType;

/**
 * Gradients of Fourier transforms over the last one to three axes. A gradient by a complex number
 * is TensorFlow's: that by its real part plus i times that by its imaginary part.
 */
final class FourierGradients {
  private static final String[] SUFFIXES = {"", "2D", "3D"};

  private FourierGradients() {}

  static void register(GradientRules rules) {
    for (int i = 0; i < SUFFIXES.length; i++) {
      int rank = i + 1;
      String suffix = SUFFIXES[i];
      rules.first(
          of -> of.mul(of.op("IFFT" + suffix, of.dy), size(of, of.dy, rank)), "FFT" + suffix);
      rules.first(
          of -> of.op("RealDiv", of.op("FFT" + suffix, of.dy), size(of, of.dy, rank)),
          "IFFT" + suffix);
      if (rank < 3) { // as in Python
        rules.first(of -> ofReal(of, rank), "RFFT" + suffix);
        rules.first(of -> toReal(of, rank), "IRFFT" + suffix);
      }
    }
  }

  /** Elements of the last axes, in the type of {@code like}. */
  private static Output<?> size(NodeGradient of, Output<?> like, int rank) {
    Output<?> outer = of.op("Sub", of.op("Rank", like), of.integer(rank));
    Output<?> first = of.op("Reshape", outer, of.ints(1));
    Output<?> last = of.op("Slice", of.op("Shape", like), first, of.ints(rank));
    return of.cast(of.op("Prod", last, of.ints(0)), like);
  }

  /** The transform of real numbers leaves out half of what that of complex ones would give. */
  private static Output<?> ofReal(NodeGradient of, int rank) {
    Output<?> length = of.y;
    Output<?> shape = of.op("Shape", of.dy);
    Output<?> outer = of.op("Sub", of.op("Rank", of.dy), of.integer(rank));
    Output<?> batch = of.op("Slice", shape, of.ints(0), of.op("Reshape", outer, of.ints(1)));
    Output<?> whole = fitted(of, of.dy, of.concat(batch, length));
    Output<?> back = of.mul(of.op("IFFT" + SUFFIXES[rank - 1], whole), size(of, whole, rank));
    return fitted(of, real(of, back, of.x.dataType()), of.op("Shape", of.x));
  }

  /**
   * What is left out counts twice: all but the first frequency and, of an even length, the last.
   */
  private static Output<?> toReal(NodeGradient of, int rank) {
    DataType complex = of.x.dataType();
    var transform = of.builder("RFFT" + SUFFIXES[rank - 1], of.dy, of.y);
    Output<?> spectrum = transform.setAttr("Tcomplex", complex).build().output(0);
    Output<?> last = of.op("Prod", of.slice(of.y, rank - 1, rank), of.ints(0));
    Output<?> half = of.op("FloorDiv", last, of.integer(2));
    Output<?> k = of.range(of.op("AddV2", half, of.integer(1)));
    Output<?> first = of.cast(of.op("Equal", k, of.integer(0)), k);
    Output<?> middle = of.cast(of.op("Equal", of.mul(k, of.integer(2)), last), k);
    Output<?> weights = of.op("Sub", of.op("Sub", of.integer(2), first), middle);
    Output<?> scaled = of.op("RealDiv", of.cast(weights, of.dy), size(of, of.dy, rank));
    return fitted(of, of.mul(spectrum, of.cast(scaled, of.x)), of.op("Shape", of.x));
  }

  private static Output<?> real(NodeGradient of, Output<?> complex, DataType type) {
    return of.op("Real", b -> b.setAttr("Tout", type), complex);
  }

  /** Cut, or filled with zeros, at the end of each axis. */
  private static Output<?> fitted(NodeGradient of, Output<?> x, Output<?> shape) {
    Output<?> common = of.op("Minimum", of.op("Shape", x), shape);
    Output<?> cut = of.op("Slice", x, of.op("ZerosLike", common), common);
    Output<?> missing = of.op("Sub", shape, common);
    var both = of.builder("Pack");
    both.addInputList(new Output<?>[] {of.op("ZerosLike", missing), missing}).setAttr("axis", 1);
    return of.op("Pad", cut, both.build().output(0));
  }
}
