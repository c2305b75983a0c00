package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Max;
import org.tensorflow.op.core.Sum;
import org.tensorflow.op.linalg.MatMul;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;
import org.tensorflow.types.family.TType;

/**
 * Arithmetic of one graph and one float type, so that formulas read without type tokens.
 *
 * @param tf where ops are added
 * @param type float32 or float64
 */
public record Algebra<T extends TFloating>(Ops tf, Class<T> type) {

  public static <T extends TFloating> Algebra<T> of(Ops tf, Operand<T> like) {
    return new Algebra<>(tf, like.type());
  }

  @SuppressWarnings("unchecked")
  public Operand<T> constant(double value) {
    return type == TFloat64.class
        ? (Operand<T>) tf.constant(value)
        : cast(tf.constant((float) value));
  }

  /** The distance from 1 to the next number. */
  public double rounding() {
    return type == TFloat64.class ? Math.ulp(1.0) : Math.ulp(1f);
  }

  @SuppressWarnings("unchecked")
  public Operand<T> cast(Operand<? extends TNumber> x) {
    return x.type() == type ? (Operand<T>) x : tf.dtypes.cast(x, type);
  }

  public Operand<T> times(Operand<T> x, double factor) {
    return factor == 1 ? x : tf.math.mul(x, constant(factor));
  }

  public Operand<T> plus(Operand<T> x, double term) {
    return term == 0 ? x : tf.math.add(x, constant(term));
  }

  /** A matrix with its two axes swapped. */
  public Operand<T> transpose(Operand<T> matrix) {
    return tf.linalg.transpose(matrix, tf.array(1, 0));
  }

  /** Batched {@code x y}. */
  public Operand<T> matMul(Operand<T> x, Operand<T> y) {
    return product(x, y, false, false);
  }

  /** Batched {@code xᵀ y}. */
  public Operand<T> transposedMatMul(Operand<T> x, Operand<T> y) {
    return product(x, y, true, false);
  }

  /** Batched {@code x yᵀ}. */
  public Operand<T> matMulTransposed(Operand<T> x, Operand<T> y) {
    return product(x, y, false, true);
  }

  private Operand<T> product(Operand<T> x, Operand<T> y, boolean transposeX, boolean transposeY) {
    return BatchProduct.add(tf, x.asOutput(), y.asOutput(), transposeX, transposeY).expect(type);
  }

  /**
   * Batched {@code x y} without a look at shapes, which a gradient by hand cannot have; its own
   * gradients are TensorFlow's.
   */
  public Operand<T> product(Operand<T> x, Operand<T> y) {
    return plainProduct(x, y, false, false);
  }

  /** The same, {@code xᵀ y}. */
  public Operand<T> transposedProduct(Operand<T> x, Operand<T> y) {
    return plainProduct(x, y, true, false);
  }

  /** The same, {@code x yᵀ}. */
  public Operand<T> productTransposed(Operand<T> x, Operand<T> y) {
    return plainProduct(x, y, false, true);
  }

  /** The same, {@code x yᵀ}, where most terms cancel: slower, its sums are nearer to float64. */
  public Operand<T> nearerProductTransposed(Operand<T> x, Operand<T> y) {
    return BatchProduct.nearer(new RawOps(tf), x.asOutput(), y.asOutput()).expect(type);
  }

  private Operand<T> plainProduct(
      Operand<T> x, Operand<T> y, boolean transposeX, boolean transposeY) {
    var product = new RawOps(tf).matMul(x.asOutput(), y.asOutput(), transposeX, transposeY);
    return product.expect(type);
  }

  /** Sum over axes that stay with size 1. */
  public Operand<T> sum(Operand<T> x, int... axes) {
    return tf.sum(x, tf.constant(axes), Sum.keepDims(true));
  }

  /** Maximum over axes that stay with size 1. */
  public Operand<T> max(Operand<T> x, int... axes) {
    return tf.max(x, tf.constant(axes), Max.keepDims(true));
  }

  public Operand<T> squaredNorm(Operand<T> x) {
    return sum(tf.math.square(x), -1);
  }

  public Operand<T> concat(int axis, List<Operand<T>> parts) {
    return tf.concat(parts, tf.constant(axis));
  }

  public Operand<TBool> atMost(Operand<T> x, double magnitude) {
    return tf.math.lessEqual(tf.math.abs(x), constant(magnitude));
  }

  public Operand<T> where(Operand<TBool> condition, double yes, double no) {
    return tf.select(condition, constant(yes), constant(no));
  }

  /** A column of ones beside the last axis of {@code like}: {@code [..., 1]}. */
  public Operand<T> onesColumn(Operand<T> like) {
    return tf.fill(leadingSizes(tf, like, 1), constant(1));
  }

  /** Sizes of axes {@code from} to {@code to}, excluded. Shape inference sees through this op. */
  public static Operand<TInt32> sizes(Ops tf, Operand<?> x, int from, int to) {
    return tf.stridedSlice(tf.shape(x), tf.array(from), tf.array(to), tf.array(1));
  }

  /** Rows of any rank times one matrix, as one product: {@code [..., K] × [K, M]}. */
  public Operand<T> rowsTimes(Operand<T> x, Operand<T> matrix) {
    int outer = (int) size(matrix, 1, "the number of features");
    return withLast(tf, tf.linalg.matMul(rows(x), matrix), x, outer);
  }

  /** The same with the rows of a matrix: {@code [..., K] × [M, K]ᵀ}. */
  public Operand<T> rowsTimesRows(Operand<T> x, Operand<T> matrix) {
    int outer = (int) size(matrix, 0, "the number of features");
    var product = tf.linalg.matMul(rows(x), matrix, MatMul.transposeB(true));
    return withLast(tf, product, x, outer);
  }

  private Operand<T> rows(Operand<T> x) {
    int inner = (int) size(x, -1, "the last axis of the data");
    return tf.reshape(x, tf.array(-1, inner)); // [rows, K]
  }

  /**
   * Reshapes to the shape of {@code like} with other sizes in place of its last one; every size
   * that can be known stays known.
   */
  public static <T extends TType> Operand<T> withLast(
      Ops tf, Operand<T> x, Operand<?> like, int... last) {
    long[] known = like.shape().asArray();
    int leading = known.length - 1;
    if (Arrays.stream(known).limit(leading).filter(n -> n < 0).count() > 1) {
      return reshape(tf, x, leadingSizes(tf, like, last));
    }
    IntStream sizes = IntStream.range(0, leading).map(i -> (int) known[i]);
    int[] all = IntStream.concat(sizes, IntStream.of(last)).toArray();
    return reshape(tf, x, tf.constant(all));
  }

  /**
   * Reshapes what was reshaped before from what it was: tf2onnx joins two that follow each other,
   * and takes the sizes of the wrong one.
   */
  public static <T extends TType> Operand<T> reshape(
      Ops tf, Operand<T> given, Operand<TInt32> sizes) {
    var made = (GraphOperation) given.asOutput().op();
    @SuppressWarnings("unchecked")
    Operand<T> x = made.type().equals("Reshape") ? (Operand<T>) made.input(0) : given;
    return tf.reshape(x, sizes);
  }

  /** The shape of {@code like} with other sizes in place of its last one. */
  private static Operand<TInt32> leadingSizes(Ops tf, Operand<?> like, int... last) {
    Operand<TInt32> leading = sizes(tf, like, 0, like.shape().numDimensions() - 1);
    return tf.concat(List.of(leading, tf.constant(last)), tf.constant(0));
  }

  /**
   * A size that must be known when the graph is built.
   *
   * @param axis negative counts from the end
   */
  public static long size(Operand<?> x, int axis, String what) {
    Shape shape = x.shape();
    long size = shape.isUnknown() ? -1 : shape.get(axis < 0 ? axis + shape.numDimensions() : axis);
    String message = "%s must be known when the graph is built, but the shape is %s";
    PerformerException.require(size >= 0, message, what, shape);
    return size;
  }
}
