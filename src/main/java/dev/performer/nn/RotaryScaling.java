package dev.performer.nn;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * Rotary positions for sequences longer than a model was trained on: angles as they were {@code
 * factor} times nearer.
 *
 * @param factor at least 1, such as 4 for sequences four times as long
 */
public record RotaryScaling(Kind kind, double factor) {
  /** What becomes slower. */
  public enum Kind {
    /**
     * Every angle: position p turns by what p / factor did ("position interpolation", arXiv
     * 2306.15595).
     */
    @JsonProperty("linear")
    LINEAR,
    /**
     * The base of the frequencies grows by {@code factor^(D/(D-2))}: the slowest becomes slower by
     * the factor, the fastest, which tells neighbours apart, stays ("NTK-aware").
     */
    @JsonProperty("ntk")
    NTK
  }

  /** Checks. */
  public RotaryScaling {
    require(kind != null, "rotaryScaling needs a kind: linear or ntk");
    boolean isFactor = factor >= 1 && factor < 1e6;
    require(
        isFactor, "rotaryScaling.factor must be at least 1 and below a million, not %s", factor);
  }

  /**
   * Radians from a position to the next of each pair of a head, {@code [D/2]}.
   *
   * @param scaling null for none
   * @param trained those that the model was trained with; null for {@code base^(-2i/D)}
   */
  static double[] frequencies(
      RotaryScaling scaling, List<Double> trained, double base, int headSize) {
    return IntStream.range(0, headSize / 2)
        .mapToDouble(
            i -> {
              double own = trained != null ? trained.get(i) : Math.pow(base, -2.0 * i / headSize);
              return scaling == null ? own : own / scaling.slower(i, headSize);
            })
        .toArray();
  }

  /** By what the turning of pair {@code i} is divided. */
  private double slower(int i, int headSize) {
    return kind == Kind.LINEAR
        ? factor
        : headSize > 2 ? Math.pow(factor, 2.0 * i / (headSize - 2)) : 1;
  }

  /** Such as {@code linear:4}. */
  @Override
  public String toString() {
    return kind.name().toLowerCase(Locale.ROOT) + ":" + factor;
  }

  /** From such a text. @throws dev.performer.PerformerException if it is none */
  public static RotaryScaling parse(String text) {
    String expected = "%s: expected a kind and a factor, such as linear:4 or ntk:4";
    require(text.matches("(linear|ntk):\\d{1,6}(\\.\\d{1,6})?"), expected, text);
    String[] parts = text.split(":");
    return new RotaryScaling(
        Kind.valueOf(parts[0].toUpperCase(Locale.ROOT)), Double.parseDouble(parts[1]));
  }
}
