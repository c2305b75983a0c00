package dev.performer.attention.projection;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import dev.performer.data.Labels;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.SplittableRandom;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Random directions, one a row: a matrix {@code [rows, columns]}.
 *
 * <p>Orthogonal blocks are Haar-distributed, which makes the softmax estimate unbiased: Q of a QR
 * factorisation is so only after its columns are multiplied by sign(diag R), which Google's code
 * leaves out (0.63 of the truth at D = 8, x = y = 𝟙/√D).
 *
 * @param rows M, the number of directions
 * @param columns D
 * @param directions how directions are drawn
 * @param lengths how long the rows are
 */
public record Projection(int rows, int columns, Directions directions, Lengths lengths) {
  /** How directions are drawn. */
  public enum Directions {
    /** Blocks of D orthogonal directions; less variance. */
    ORTHOGONAL,
    /** Independent. */
    IID;

    /** The directions of a label. @throws PerformerException if there is none */
    @JsonCreator
    public static Directions of(String label) {
      return Labels.find("projection", label, List.of(values()), Directions::toString);
    }

    @JsonValue
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** How long rows are. */
  public enum Lengths {
    /** chi(D), as a Gaussian vector has: unbiased. */
    CHI,
    /** √D: the regularised softmax kernel (paper, theorem 1); a bias, far less variance. */
    SQRT_D;

    /** The lengths of a label. @throws PerformerException if there are none */
    @JsonCreator
    public static Lengths of(String label) {
      return Labels.find("row length", label, List.of(values()), Lengths::toString);
    }

    @JsonValue
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** Checks the shape. @throws PerformerException if a size is not positive */
  public Projection {
    ProjectionMatrix.elements(rows, columns);
  }

  /** Draws {@code [rows, columns]} in Java: a seed gives the same matrix on every platform. */
  public float[] draw(long seed) {
    // Neighbouring seeds of java.util.Random begin alike: mix them first.
    Random random = new Random(new SplittableRandom(seed).nextLong());
    float[] matrix = new float[rows * columns];
    double[][] block = null;
    for (int r = 0; r < rows; r++) {
      if (directions == Directions.ORTHOGONAL && r % columns == 0) {
        block = haarRows(random, Math.min(columns, rows - r));
      }
      double[] direction = block == null ? unit(gaussian(random)) : block[r % columns];
      double length = lengths == Lengths.CHI ? norm(gaussian(random)) : Math.sqrt(columns);
      for (int c = 0; c < columns; c++) {
        matrix[r * columns + c] = (float) (length * direction[c]);
      }
    }
    return matrix;
  }

  /**
   * Draws {@code [rows, columns]} in the graph, so that an exported model can redraw too. The same
   * seed, {@code [2]}, gives the same matrix on one device, but XLA draws other numbers.
   */
  public Operand<TFloat32> redraw(Ops tf, Operand<TInt32> seed) {
    int blocks = (rows + columns - 1) / columns;
    var gaussians = tf.random.statelessRandomNormal(tf.array(blocks, columns, columns), seed);
    Operand<TFloat32> units; // [blocks, D, D], one direction a row
    if (directions == Directions.IID) {
      units = tf.math.div(gaussians, ProjectionGraph.norms(tf, gaussians, 2));
    } else {
      var qr = tf.linalg.qr(gaussians);
      var diagonal = tf.linalg.matrixDiagPart(qr.r(), tf.constant(0), tf.constant(0f));
      var isNegative = tf.math.less(diagonal, tf.constant(0f)); // [blocks, D]
      Operand<TFloat32> signs = tf.select(isNegative, tf.constant(-1f), tf.constant(1f));
      var haar = tf.math.mul(qr.q(), tf.expandDims(signs, tf.constant(1)));
      units = tf.linalg.transpose(haar, tf.array(0, 2, 1));
    }
    Operand<TFloat32> all = tf.reshape(units, tf.array(blocks * columns, columns));
    var unit = tf.slice(all, tf.array(0, 0), tf.array(rows, columns));
    if (lengths == Lengths.SQRT_D) {
      return tf.math.mul(unit, tf.constant((float) Math.sqrt(columns)));
    }
    var other = tf.math.add(seed, tf.array(0, 1));
    var lengthDraws = tf.random.statelessRandomNormal(tf.array(rows, columns), other);
    return tf.math.mul(unit, ProjectionGraph.norms(tf, lengthDraws, 1));
  }

  /**
   * Gram-Schmidt on Gaussian rows, twice for orthogonality to the last bit: its R has a positive
   * diagonal, so the rows are Haar-distributed without a correction.
   */
  private double[][] haarRows(Random random, int count) {
    double[][] block = new double[count][];
    for (int r = 0; r < count; r++) {
      double[] row = gaussian(random);
      for (int pass = 0; pass < 2; pass++) {
        for (int before = 0; before < r; before++) {
          double dot = 0;
          for (int c = 0; c < columns; c++) {
            dot += row[c] * block[before][c];
          }
          for (int c = 0; c < columns; c++) {
            row[c] -= dot * block[before][c];
          }
        }
      }
      block[r] = unit(row);
    }
    return block;
  }

  private double[] gaussian(Random random) {
    double[] x = new double[columns];
    Arrays.setAll(x, i -> random.nextGaussian());
    return x;
  }

  private static double norm(double[] x) {
    double sum = 0;
    for (double v : x) {
      sum += v * v;
    }
    return Math.sqrt(sum);
  }

  /** Brings it to length 1 in place. */
  private static double[] unit(double[] x) {
    double factor = 1 / norm(x);
    for (int i = 0; i < x.length; i++) {
      x[i] *= factor;
    }
    return x;
  }
}
