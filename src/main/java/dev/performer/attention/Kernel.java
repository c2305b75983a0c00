package dev.performer.attention;

import dev.performer.data.Labels;
import java.util.Arrays;

/**
 * The function of a query and a key whose random-feature estimate replaces the attention matrix.
 *
 * <p>The first five estimate or vary the softmax kernel {@code exp(q·k/√D)} and need a projection.
 * The others are generalized attention, {@code φ(x) = f(P x)} or, without a projection, {@code
 * f(x)}.
 */
public enum Kernel {
  /** Positive features {@code exp(ω·x − |x|²/2)} (paper, lemma 1). */
  SOFTMAX("softmax", Family.EXPONENTIAL),
  /** Positive features of ω and −ω, so two features a direction (paper, lemma 1). */
  HYPERBOLIC("hyperbolic", Family.EXPONENTIAL),
  /** {@code exp(|x|²/2) (cos ω·x, sin ω·x)}; two features a direction; can be negative. */
  TRIGONOMETRIC("trigonometric", Family.TRIGONOMETRIC),
  /** Positive bounded features (arXiv 2205.15317); bidirectional only. */
  FAVOR_PLUS_PLUS("favor++", Family.PLUS_PLUS),
  /** Model Garden's softmax features without the norm term. */
  EXPMOD("expmod", Family.EXPONENTIAL),
  RELU("relu", Family.GENERALIZED),
  /** {@code elu(x) + 1}. */
  ELU("elu", Family.GENERALIZED),
  SQUARE("square", Family.GENERALIZED),
  EXP("exp", Family.GENERALIZED),
  IDENTITY("identity", Family.GENERALIZED),
  /** The exact form, with erf. */
  GELU("gelu", Family.GENERALIZED),
  TANH("tanh", Family.GENERALIZED),
  SIGMOID("sigmoid", Family.GENERALIZED),
  COS("cos", Family.GENERALIZED),
  SIN("sin", Family.GENERALIZED),
  ABS("abs", Family.GENERALIZED),
  /** {@code relu(x)²}. */
  REQU("requ", Family.GENERALIZED),
  /** {@code exp(x)} up to 0, {@code x + 1} above. */
  SHIFTED_ELU("shifted-elu", Family.GENERALIZED);

  /** What a kernel's features are made of. */
  enum Family {
    EXPONENTIAL,
    TRIGONOMETRIC,
    PLUS_PLUS,
    GENERALIZED
  }

  private final String label;
  private final Family family;

  Kernel(String label, Family family) {
    this.label = label;
    this.family = family;
  }

  /** The name on the command line and in files. */
  public String label() {
    return label;
  }

  /**
   * The kernel of a label.
   *
   * @throws dev.performer.PerformerException if there is none; it names the nearest
   */
  public static Kernel of(String label) {
    return Arrays.stream(values())
        .filter(k -> k.label.equals(label))
        .findFirst()
        .orElseThrow(
            () ->
                Labels.unknown(
                    "kernel", label, Arrays.stream(values()).map(Kernel::label).toList()));
  }

  /** Whether this estimates the softmax kernel, and so needs a projection. */
  public boolean isSoftmax() {
    return family != Family.GENERALIZED;
  }

  /** Features made of one row of the projection: 2 for hyperbolic and trigonometric, else 1. */
  public int featuresPerRow() {
    return this == HYPERBOLIC || this == TRIGONOMETRIC ? 2 : 1;
  }

  Family family() {
    return family;
  }

  @Override
  public String toString() {
    return label;
  }
}
