package dev.performer.training;

import static dev.performer.PerformerException.require;

import dev.performer.data.Labels;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * What an output of a model shall come near to, as {@code note=binary-cross-entropy:target*0.5}.
 *
 * @param output of the signature
 * @param target an array of the data
 * @param weight of this loss in the sum of all
 */
public record LossTerm(String output, Kind kind, String target, double weight) {
  private static final Pattern FORM =
      Pattern.compile("([^=]+)=([^:=]+):([^*]+?)(?:\\*([0-9.eE+-]+))?");

  /** The mean over all elements or positions of a batch, but those whose target is not known. */
  public enum Kind {
    /** Mean squared error. */
    MSE(false, false),
    /** Mean absolute error. */
    MAE(false, false),
    /**
     * Of logits over the last axis; targets are ids, below 0 where none counts, or distributions.
     */
    CROSS_ENTROPY(true, false),
    /** Of probabilities, clipped at 1e-7 and scaled to a sum of 1, as Keras computes it. */
    CROSS_ENTROPY_OF_PROBABILITIES(true, true),
    /** Of logits and targets from 0 to 1, element by element. */
    BINARY_CROSS_ENTROPY(false, false),
    /** Of probabilities, clipped at 1e-7. */
    BINARY_CROSS_ENTROPY_OF_PROBABILITIES(false, true);

    private final boolean overClasses;
    private final boolean ofProbabilities;

    Kind(boolean overClasses, boolean ofProbabilities) {
      this.overClasses = overClasses;
      this.ofProbabilities = ofProbabilities;
    }

    /** Its name in {@link LossTerm#parse}. */
    public String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Whether targets may be ids of classes, with one axis less than the output. */
    boolean takesIds() {
      return overClasses;
    }

    boolean isOfLogits() {
      return !ofProbabilities && (overClasses || this == BINARY_CROSS_ENTROPY);
    }

    /**
     * The loss of each element, or of each position.
     *
     * @param targets float32 in the shape of the output, or int32 ids without its last axis
     */
    private Operand<TFloat32> of(Ops tf, Operand<TFloat32> output, Operand<?> targets) {
      if (overClasses) {
        return crossEntropy(tf, ofProbabilities ? LossGraph.logits(tf, output) : output, targets);
      }
      Operand<TFloat32> numbers = targets.asOutput().expect(TFloat32.class);
      var logits = ofProbabilities ? LossGraph.binaryLogits(tf, output) : output;
      return switch (this) {
        case MSE -> tf.math.squaredDifference(output, numbers);
        case MAE -> tf.math.abs(tf.math.sub(output, numbers));
        default -> LossGraph.binaryCrossEntropy(tf, logits, numbers);
      };
    }

    private static Operand<TFloat32> crossEntropy(
        Ops tf, Operand<TFloat32> output, Operand<?> targets) {
      var sizes = tf.shape(output);
      var last = tf.math.sub(tf.rank(output), tf.constant(1));
      var classes = tf.gather(sizes, last, tf.constant(0)); // C
      var matrix = tf.stack(List.of(tf.constant(-1), classes));
      var logits = tf.reshape(output, matrix); // [positions, C]
      Operand<TFloat32> labels;
      if (targets.type() == TInt32.class) {
        var ids = tf.reshape(targets.asOutput().expect(TInt32.class), tf.array(-1));
        labels = tf.oneHot(ids, classes, tf.constant(1f), tf.constant(0f)); // zeros for ids < 0
      } else {
        labels = tf.reshape(targets.asOutput().expect(TFloat32.class), matrix);
      }
      var loss = tf.nn.softmaxCrossEntropyWithLogits(logits, labels).loss(); // [positions]
      return tf.reshape(loss, tf.slice(sizes, tf.array(0), tf.reshape(last, tf.array(1))));
    }
  }

  public LossTerm {
    boolean isSound = weight > 0 && Double.isFinite(weight);
    require(isSound, "the weight of the loss of %s must be above 0, not %s", output, weight);
  }

  /** Reads {@code OUTPUT=KIND:TARGET} or {@code OUTPUT=KIND:TARGET*WEIGHT}. */
  public static LossTerm parse(String text) {
    Matcher form = FORM.matcher(text);
    String expected =
        "a loss is OUTPUT=KIND:TARGET or OUTPUT=KIND:TARGET*WEIGHT, such as note=mse:target*0.5, not '%s'";
    require(form.matches(), expected, text);
    Kind kind = Labels.find("loss", form.group(2).strip(), List.of(Kind.values()), Kind::label);
    double weight = 1;
    try {
      weight = form.group(4) == null ? 1 : Double.parseDouble(form.group(4));
    } catch (NumberFormatException e) {
      require(false, expected, text);
    }
    return new LossTerm(form.group(1).strip(), kind, form.group(3).strip(), weight);
  }

  @Override
  public String toString() {
    String factor = weight == 1 ? "" : "*" + weight;
    return output + "=" + kind.label() + ":" + target + factor;
  }

  /** The sum of losses that count, and how many do. */
  record Sums(Operand<TFloat32> sum, Operand<TFloat32> count) {}

  /**
   * Adds the loss; what has no target, NaN or an id below 0, counts nothing.
   *
   * @param weights of the rows, {@code [B]}
   */
  Sums build(Ops tf, Operand<TFloat32> out, Operand<?> targets, Operand<TFloat32> weights) {
    Operand<TFloat32> known;
    Operand<?> filled = targets;
    if (targets.type() == TInt32.class) {
      var ids = targets.asOutput().expect(TInt32.class);
      var isKnown = tf.math.greaterEqual(ids, tf.constant(0));
      known = tf.dtypes.cast(isKnown, TFloat32.class);
    } else {
      var numbers = targets.asOutput().expect(TFloat32.class);
      var isNumber = tf.math.equal(numbers, numbers);
      filled = tf.select(isNumber, numbers, tf.zerosLike(numbers));
      known = tf.dtypes.cast(isNumber, TFloat32.class);
      if (kind.overClasses) { // a distribution is known if all of it is
        known = tf.min(known, tf.constant(-1));
      }
    }
    Operand<TFloat32> losses = kind.of(tf, out, filled);
    var rows = tf.stack(List.of(tf.size(weights), tf.constant(-1)));
    var each = tf.expandDims(weights, tf.constant(1)); // [B, 1]
    var counted = tf.math.mul(tf.reshape(known, rows), each); // [B, …]
    var lost = tf.math.mul(tf.reshape(losses, rows), counted);
    var axes = tf.constant(new int[] {0, 1});
    return new Sums(tf.reduceSum(lost, axes), tf.reduceSum(counted, axes));
  }
}
