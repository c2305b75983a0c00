package dev.performer.nn;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.graph.Algebra;
import dev.performer.graph.GivenGradient;
import dev.performer.graph.Variable;
import dev.performer.nn.Parameters.Initializer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.linalg.MatMul;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat32;

/**
 * {@code x W + b}, b or null. W, {@code [in..., out...]}, may have more axes than two, as those
 * around attention have: {@code [E, H, D]} is used as {@code [E, H·D]}. Precision is that of {@code
 * x W}; what comes in and goes out, and b, are float32.
 */
public record Dense(
    Variable kernel, Variable bias, int in, int out, Precision precision, Rows rows) {
  /** Which rows come, where W and b are constants: that is what their kernel is chosen by. */
  public enum Rows {
    /** Any number of them, and variables. */
    ANY,
    /** The same of variables to be learned, whose gradient is by hand. */
    LEARNED,
    /** One or a few, which read W as it stands. */
    FEW,
    /** {@link #MANY_ROWS} or more, for which oneDNN keeps a large W in the order it reads it in. */
    MANY;

    boolean areOfConstants() {
      return this == FEW || this == MANY;
    }
  }

  /** From here on, oneDNN's order of float32 weights is one and the same. */
  public static final int MANY_ROWS = 8;

  /** Elements of a matrix that is read faster in another order; smaller ones stay in caches. */
  private static final long LARGE = 1 << 18;

  /** Small weights: a new model holds all classes for about equally likely. */
  private static final Initializer LOGITS = new Initializer.Normal(0.02f);

  /** {@code [in, out]} with a bias. */
  public static Dense create(Parameters parameters, int in, int out) {
    return create(parameters, new long[] {in}, new long[] {out}, true);
  }

  /** {@code [in, out]} with a bias, of logits: the first loss is near {@code ln(out)}. */
  public static Dense logits(Parameters parameters, int in, int out) {
    return create(parameters, new long[] {in}, new long[] {out}, true, LOGITS);
  }

  /** Of sizes in and out with any number of axes; its name is that of {@code parameters}. */
  public static Dense create(Parameters parameters, long[] in, long[] out, boolean hasBias) {
    return create(parameters, in, out, hasBias, new Initializer.Glorot(product(in), product(out)));
  }

  private static Dense create(
      Parameters parameters, long[] in, long[] out, boolean hasBias, Initializer initializer) {
    long[] shape = LongStream.concat(Arrays.stream(in), Arrays.stream(out)).toArray();
    Variable kernel = parameters.trainable("kernel", initializer, shape);
    Variable bias = hasBias ? parameters.trainable("bias", new Initializer.Constant(0), out) : null;
    var precision = parameters.precision();
    return new Dense(kernel, bias, product(in), product(out), precision, parameters.rows());
  }

  /** Several layers of the same input as one, outputs side by side. */
  static Dense joined(Ops tf, List<Dense> layers) {
    Dense first = layers.get(0);
    List<Operand<TFloat32>> kernels = new ArrayList<>();
    List<Operand<TFloat32>> biases = new ArrayList<>();
    for (Dense layer : layers) {
      kernels.add(layer.matrix(tf));
      if (layer.bias != null) {
        biases.add(layer.vector(tf));
      }
    }
    var kernel = first.kernel.ofValue(tf.concat(kernels, tf.constant(1)));
    var bias = biases.isEmpty() ? null : first.bias.ofValue(tf.concat(biases, tf.constant(0)));
    int out = layers.stream().mapToInt(Dense::out).sum();
    return new Dense(kernel, bias, first.in, out, first.precision, first.rows);
  }

  private static int product(long[] sizes) {
    return Math.toIntExact(Arrays.stream(sizes).reduce(1, Math::multiplyExact));
  }

  /** The outputs, {@code [..., out]}, of {@code x}, {@code [..., in]}. */
  public Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> terms = bias == null ? null : vector(tf); // [out]
    return precision.times(tf, x, matrix(tf), terms, in, out, rows);
  }

  private Operand<TFloat32> matrix(Ops tf) {
    return tf.reshape(kernel.<TFloat32>read(tf), tf.array(in, out));
  }

  private Operand<TFloat32> vector(Ops tf) {
    return tf.reshape(bias.<TFloat32>read(tf), tf.array(out));
  }

  /** In what the products of dense layers are computed; variables are float32 in any case. */
  public enum Precision {
    @JsonProperty("float32")
    FLOAT32,
    /** Both factors, and so both factors of each gradient, are rounded to 8 significant bits. */
    @JsonProperty("bfloat16")
    BFLOAT16;

    /**
     * {@code [..., K]} times {@code [K, N]} as one product, plus {@code [N]}, which may be null.
     * oneDNN keeps a constant matrix in the order that its kernel reads where product and sum are
     * one kernel. The order is that of the first call: where another one wants another order, all
     * of the matrix is put in order for it each time. A few rows of float32 read it as it stands.
     */
    public Operand<TFloat32> times(
        Ops tf,
        Operand<TFloat32> x,
        Operand<TFloat32> matrix,
        Operand<TFloat32> bias,
        int inner,
        int outer,
        Rows count) {
      Operand<TFloat32> rows = tf.reshape(x, tf.array(-1, inner)); // [rows, K]
      boolean isLarge = (long) inner * outer >= LARGE;
      if (count.areOfConstants() && this == BFLOAT16) {
        var sum = kept(tf, rows, matrix, none(tf, outer)); // [rows, N]
        return plus(tf, Algebra.withLast(tf, sum, x, outer), bias);
      } else if (count == Rows.FEW || count == Rows.MANY && !isLarge) {
        // A reshape between them keeps product and sum apart.
        return plus(tf, Algebra.withLast(tf, product(tf, rows, matrix), x, outer), bias);
      }
      Operand<TFloat32> terms = count == Rows.MANY ? nowhereZero(tf, bias, outer) : bias;
      Operand<TFloat32> product = product(tf, rows, matrix); // [rows, N]
      Operand<TFloat32> sum = terms == null ? product : tf.nn.biasAdd(product, terms);
      if (count == Rows.LEARNED && this == FLOAT32) {
        var inputs = bias == null ? List.of(rows, matrix) : List.of(rows, matrix, bias);
        GivenGradient.Rule rule = (ops, of, dy) -> gradients(ops, of, dy, outer >= inner);
        sum = GivenGradient.of(tf, sum, inputs, List.of(), rule);
      }
      return Algebra.withLast(tf, sum, x, outer);
    }

    /**
     * As they follow from the ops, but for two things. A batched product, if only of one, takes a
     * transposed matrix without loss, where oneDNN's MatMul is up to 1.4 times slower unless rows
     * get longer. And no shape is taken of the sum, which would keep it from being computed in one
     * pass with its product.
     */
    private static List<Operand<TFloat32>> gradients(
        Ops tf, List<Operand<TFloat32>> of, Operand<TFloat32> dy, boolean batched) {
      Operand<TFloat32> matrix = of.get(1);
      var rows =
          batched
              ? Algebra.of(tf, dy).productTransposed(dy, matrix)
              : tf.linalg.matMul(dy, matrix, MatMul.transposeB(true)); // [rows, K]
      var kernel = tf.linalg.matMul(of.get(0), dy, MatMul.transposeA(true)); // [K, N]
      return of.size() == 2 ? List.of(rows, kernel) : List.of(rows, kernel, tf.nn.biasAddGrad(dy));
    }

    private static Operand<TFloat32> plus(Ops tf, Operand<TFloat32> x, Operand<TFloat32> bias) {
      return bias == null ? x : tf.math.add(x, bias);
    }

    /** So small that it is rounded off in any sum; sums with 0 would be simplified away. */
    private static Operand<TFloat32> none(Ops tf, int size) {
      return tf.fill(tf.array(size), tf.constant(Float.MIN_NORMAL));
    }

    private static Operand<TFloat32> nowhereZero(Ops tf, Operand<TFloat32> bias, int size) {
      Operand<TFloat32> none = none(tf, size);
      return bias == null ? none : tf.select(tf.math.equal(bias, tf.constant(0f)), none, bias);
    }

    private static Operand<TFloat32> kept(
        Ops tf, Operand<TFloat32> x, Operand<TFloat32> matrix, Operand<TFloat32> none) {
      var rounded = tf.dtypes.cast(matrix, TBfloat16.class);
      var product = tf.linalg.matMul(tf.dtypes.cast(x, TBfloat16.class), rounded);
      var sum = tf.nn.biasAdd(product, tf.dtypes.cast(none, TBfloat16.class));
      return tf.dtypes.cast(sum, TFloat32.class);
    }

    private Operand<TFloat32> product(Ops tf, Operand<TFloat32> x, Operand<TFloat32> matrix) {
      if (this == FLOAT32) {
        return tf.linalg.matMul(x, matrix);
      }
      Operand<TBfloat16> rounded = tf.dtypes.cast(x, TBfloat16.class);
      var product = tf.linalg.matMul(rounded, tf.dtypes.cast(matrix, TBfloat16.class));
      return tf.dtypes.cast(product, TFloat32.class);
    }
  }
}
