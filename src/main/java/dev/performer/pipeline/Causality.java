package dev.performer.pipeline;

import dev.performer.savedmodel.ModelCard.Objective;
import dev.performer.savedmodel.PositionReader;
import java.util.Arrays;
import java.util.List;

/** Which tokens the logits of a position depend on, found by changing the second half of a text. */
enum Causality {
  /** Also those behind it: a masked language model, or none. */
  LATER,
  /** Those up to its own: logits are for the next token. */
  OWN,
  /** Those before it: logits are for the token itself, as the model shifts its inputs. */
  EARLIER,
  /** The text is too short, or logits do not depend on it. */
  UNKNOWN;

  private static final int LENGTH = 16;
  private static final int LEAST_LENGTH = 4;

  // Rounding leaves far less where nothing is seen, and attention far more where something is.
  private static final double LEAST = 1e-4;

  /** Runs a model on two texts. @param logits reads its output {@code [B, L, V]} */
  static Causality of(TokenInput input, PositionReader logits) {
    int length = input.length(Math.min(LENGTH, input.limit()));
    int[] ids = input.tokenizer().vocabulary().ordinaryIds();
    if (length < LEAST_LENGTH || ids.length < 2) {
      return UNKNOWN;
    }
    int half = length / 2;
    int size = input.rows(1);
    int[] one = new int[size * length];
    int[] other = new int[one.length];
    for (int i = 0; i < one.length; i++) {
      one[i] = ids[(7 * (i % length) + 1) % ids.length];
      int another = ids[(7 * (i % length) + 1 + ids.length / 2) % ids.length];
      other[i] = i % length < half ? one[i] : another;
    }
    int[] real = new int[one.length];
    Arrays.fill(real, 1);
    var before = input.feeds(one, real, size, length);
    var after = input.feeds(other, real, size, length);
    double[] change = new double[3];
    for (int k = 0; k < change.length; k++) {
      int[] at = new int[size];
      Arrays.fill(at, List.of(half - 1, half, length - 1).get(k));
      change[k] = difference(logits.read(before, at).floats(), logits.read(after, at).floats());
    }
    double scale = Math.max(change[1], change[2]);
    if (!(scale > 0)) { // also where it is NaN
      return UNKNOWN;
    }
    return change[0] > LEAST * scale ? LATER : change[1] > LEAST * scale ? OWN : EARLIER;
  }

  private static double difference(float[] x, float[] y) {
    double largest = 0;
    for (int i = 0; i < x.length; i++) {
      largest = Math.max(largest, Math.abs((double) x[i] - y[i]));
    }
    return largest;
  }

  boolean isCausal() {
    return this == OWN || this == EARLIER;
  }

  /** What a model that behaves so was trained for. */
  Objective objective() {
    return isCausal() ? Objective.CAUSAL_LM : Objective.MASKED_LM;
  }

  /** One line on what is taken for want of a record. */
  String note() {
    return switch (this) {
      case LATER ->
          "The model does not say what it was trained for: the objective masked-lm is assumed, as its logits depend on later tokens.";
      case OWN ->
          "The model does not say what it was trained for: the objective causal-lm is assumed, as its logits do not depend on later tokens.";
      case EARLIER ->
          "The model does not say what it was trained for: the objective causal-lm is assumed, and that it shifts its inputs itself, as its logits depend on earlier tokens alone.";
      case UNKNOWN ->
          "The model does not say what it was trained for: the objective masked-lm is assumed.";
    };
  }
}
