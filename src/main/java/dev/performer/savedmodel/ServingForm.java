package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import java.util.List;

/**
 * What changes in a model that is only served from then on. Outputs keep their names and types.
 *
 * @param frozen variables become constants of the graph; there is no {@code variables/} to restore
 * @param batch the size of each input's first dimension where that is open; null leaves it open
 * @param length the size of all other open dimensions; null leaves them open
 * @param precision of weights that are matrices, and of products with them
 * @param signatures those that stay; empty for all
 */
public record ServingForm(
    boolean frozen, Long batch, Long length, Precision precision, List<String> signatures) {
  /** The model as it is. */
  public static final ServingForm AS_IS =
      new ServingForm(false, null, null, Precision.FLOAT32, List.of());

  /** How weights are stored and multiplied. */
  public enum Precision {
    FLOAT32,
    BFLOAT16
  }

  public ServingForm {
    boolean isSound = (batch == null || batch > 0) && (length == null || length > 0);
    require(isSound, "a static shape has sizes above 0, not %s and %s", batch, length);
    require(length == null || batch != null, "a static shape has a batch size, too");
  }

  /** The same with constants in place of variables, or not. */
  public ServingForm freezing(boolean value) {
    return new ServingForm(value, batch, length, precision, signatures);
  }

  /** The same with inputs of fixed sizes; null leaves open what is open. */
  public ServingForm sized(Long rows, Long tokens) {
    return new ServingForm(frozen, rows, tokens, precision, signatures);
  }

  /** The same with weights of another precision. */
  public ServingForm in(Precision other) {
    return new ServingForm(frozen, batch, length, other, signatures);
  }

  /** The same with some signatures alone; none for all. */
  public ServingForm keeping(List<String> names) {
    return new ServingForm(frozen, batch, length, precision, List.copyOf(names));
  }

  /** Whether nothing changes. */
  public boolean isAsItIs() {
    return equals(AS_IS);
  }
}
