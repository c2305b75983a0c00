package dev.performer.attention;

import static dev.performer.attention.Convention.Maximum.EVERYTHING;
import static dev.performer.attention.Convention.Maximum.FEATURES;
import static dev.performer.attention.Convention.Maximum.HEADS_LENGTH_AND_FEATURES;
import static dev.performer.attention.Convention.Maximum.LENGTH_AND_FEATURES;
import static dev.performer.attention.Kernel.Zeros.HALF_SPACE;
import static dev.performer.attention.Kernel.Zeros.POINT;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import dev.performer.attention.Convention.Stabilizer.Centred;
import dev.performer.attention.Convention.Stabilizer.Maxima;
import dev.performer.attention.Kernel.Code;
import dev.performer.attention.Kernel.Zeros;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.LinearAttention.Denominator.AddAlways;
import dev.performer.attention.LinearAttention.Denominator.AddNearZero;
import dev.performer.attention.LinearAttention.Denominator.Unguarded;
import dev.performer.attention.LinearAttention.Denominator.ZeroBelow;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.data.Labels;
import java.util.List;
import java.util.Set;

/**
 * One implementation's choice of constants and guards, as data: another convention is one more
 * constant here. The kernels are the same everywhere; where ε goes, over which axes maxima are
 * taken, what scales the data and what guards the division is not.
 *
 * @param label the name on the command line and in files
 * @param softmax for softmax, hyperbolic, expmod and trigonometric features
 * @param plusPlus for FAVOR++
 * @param generalized for the kernels {@code f(Px)}
 * @param bareSoftmax whether softmax features may be made of the data itself, without P
 * @param masksKeys whether padded keys are left out of the sums
 * @param draw whose random numbers projections are drawn from
 * @param kernelNames the code whose names of kernels this implementation uses; null for our labels
 */
public record Convention(
    @JsonValue String label,
    Exponential softmax,
    Exponential plusPlus,
    Generalized generalized,
    boolean bareSoftmax,
    boolean masksKeys,
    ProjectionDraw draw,
    Code kernelNames) {
  /** What queries and keys are each multiplied by first: {@code factor · D^exponent}. */
  public record Scale(double factor, double exponent) {
    /** No scaling. */
    public static final Scale NONE = new Scale(1, 0);

    /** {@code D^-1/4} on each side: {@code 1/√D} on their product, as softmax attention has it. */
    public static final Scale SOFTMAX = new Scale(1, -0.25);

    /** The number for one head size. */
    public double of(long headSize) {
      return factor * Math.pow(headSize, exponent);
    }
  }

  /** How exponentials are kept in the range of float32. */
  public sealed interface Stabilizer {
    /** Features shifted to {@code exp(−|ω−k'|²/2 + D/2)}: bounded keys, no maximum over them. */
    record Centred() implements Stabilizer {}

    /** A maximum of the projected data is subtracted, and its gradient is kept. */
    record Maxima(Maximum query, Maximum key) implements Stabilizer {}
  }

  /**
   * The axes of the projected data {@code [B, H, L, M]} whose maximum keeps an exponential in
   * range. More than {@link #FEATURES} for keys couples positions: the future reaches the past
   * through ε or underflow.
   */
  public enum Maximum {
    FEATURES(3),
    LENGTH_AND_FEATURES(2, 3),
    HEADS_LENGTH_AND_FEATURES(1, 2, 3),
    EVERYTHING(0, 1, 2, 3);

    private final int[] axes;

    Maximum(int... axes) {
      this.axes = axes;
    }

    int[] axes() {
      return axes.clone();
    }
  }

  /** Rules for exponential features; ε is added to the exponential, before 1/√M. */
  public record Exponential(
      Scale scale, Stabilizer stabilizer, double epsilon, Denominator denominator) {
    private Exponential scaled(Scale other) {
      return new Exponential(other, stabilizer, epsilon, denominator);
    }
  }

  /** Where generalized features get their 1/√M, if there is a projection. */
  public enum Ratio {
    NONE,
    /** {@code f(Px/√M) + ε}. */
    INSIDE,
    /** {@code (f(Px) + ε)/√M}. */
    OUTSIDE
  }

  /** Rules for features {@code f(Px)}; functions get ε by where they are 0. */
  public record Generalized(
      Scale scale, Ratio ratio, double epsilon, Set<Zeros> epsilonFor, Denominator denominator) {
    public Generalized {
      epsilonFor = Set.copyOf(epsilonFor);
    }

    private Generalized scaled(Scale other) {
      return new Generalized(other, ratio, epsilon, epsilonFor, denominator);
    }
  }

  /** Denominators of centred features stay true down to here in float32, gradients included. */
  private static final double SMALLEST = 1e-35;

  /**
   * Queries of centred softmax features go up to exp(40): over a smaller denominator than this, the
   * gradient of far keys would be infinity times 0.
   */
  private static final double SMALLEST_CENTRED = 1e-18;

  /**
   * Ours: centred features, no ε but where a kernel can be 0 everywhere, no maximum over positions,
   * and 0 where there is no key.
   */
  public static final Convention PERFORMER =
      new Convention(
          "performer",
          new Exponential(Scale.SOFTMAX, new Centred(), 0, new ZeroBelow(SMALLEST_CENTRED)),
          new Exponential(Scale.SOFTMAX, new Centred(), 0, new ZeroBelow(SMALLEST)),
          new Generalized(
              Scale.NONE, Ratio.NONE, 1e-3, Set.of(HALF_SPACE, POINT), new ZeroBelow(SMALLEST)),
          false,
          true,
          ProjectionDraw.PERFORMER,
          null);

  /** google-research performer/fast_attention/tensorflow (since 2021). */
  public static final Convention GOOGLE_TF =
      google(
          "google-tf",
          new Unguarded(),
          new Unguarded(),
          Ratio.INSIDE,
          ProjectionDraw.GOOGLE_TF,
          null);

  /**
   * google-research performer/fast_attention/jax, and its copies in LRA and SCENIC. Projections
   * come from JAX's legacy stream, as in every model that Google trained with this code.
   */
  public static final Convention GOOGLE_JAX =
      google(
          "google-jax",
          new AddNearZero(1e-6),
          new AddNearZero(0),
          Ratio.NONE,
          ProjectionDraw.JAX_LEGACY,
          Code.JAX);

  private static Convention google(
      String label,
      Denominator softmax,
      Denominator generalized,
      Ratio ratio,
      ProjectionDraw draw,
      Code names) {
    var maxima = new Maxima(FEATURES, LENGTH_AND_FEATURES);
    var exponential = new Exponential(Scale.SOFTMAX, maxima, 1e-6, softmax);
    var other = new Generalized(Scale.NONE, ratio, 1e-3, Set.of(Zeros.values()), generalized);
    return new Convention(label, exponential, exponential, other, false, false, draw, names);
  }

  /**
   * tensorflow/models KernelAttention, its scaling of queries and keys included. Its {@code exp} is
   * our softmax, its {@code expplus} our FAVOR++.
   */
  public static final Convention MODEL_GARDEN =
      new Convention(
          "model-garden",
          new Exponential(
              Scale.SOFTMAX,
              new Maxima(HEADS_LENGTH_AND_FEATURES, HEADS_LENGTH_AND_FEATURES),
              0,
              new AddAlways(1e-6)),
          new Exponential(
              new Scale(1, -0.5), new Maxima(FEATURES, EVERYTHING), 1e-6, new AddAlways(1e-6)),
          new Generalized(
              Scale.SOFTMAX, Ratio.OUTSIDE, 1e-3, Set.of(HALF_SPACE), new AddAlways(1e-6)),
          true,
          true,
          ProjectionDraw.MODEL_GARDEN,
          Code.MODEL_GARDEN);

  private static final List<Convention> KNOWN =
      List.of(PERFORMER, GOOGLE_TF, GOOGLE_JAX, MODEL_GARDEN);

  /** The convention of a label. @throws dev.performer.PerformerException if there is none */
  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  public static Convention of(String label) {
    return Labels.find("convention", label, KNOWN, Convention::label);
  }

  /** The conventions that have a label. */
  public static List<Convention> known() {
    return KNOWN;
  }

  /** All labels. */
  public static List<String> labels() {
    return KNOWN.stream().map(Convention::label).toList();
  }

  /** The kernel that this implementation means by the label of {@code kernel}. */
  public Kernel resolve(Kernel kernel) {
    return kernelNames == null ? kernel : Kernel.named(kernelNames, kernel.label()).orElse(kernel);
  }

  /** The rule for features that are exponentials; null for the kernels {@code f(Px)}. */
  Exponential exponential(Kernel kernel) {
    Kernel meant = resolve(kernel);
    return !meant.isSoftmax() ? null : meant.form() instanceof Kernel.PlusPlus ? plusPlus : softmax;
  }

  /** How outputs of {@code kernel} are divided. */
  public Denominator denominator(Kernel kernel) {
    Exponential rule = exponential(kernel);
    return rule == null ? generalized.denominator() : rule.denominator();
  }

  /**
   * With another scale of queries and keys for every kernel but FAVOR++, which in Model Garden has
   * a further {@code D^-1/4} on top: that one is kept.
   */
  public Convention withScale(Scale scale) {
    Scale before = plusPlus.scale();
    double factor = scale.factor() * before.factor() / generalized.scale().factor();
    Scale own =
        new Scale(factor, scale.exponent() + before.exponent() - softmax.scale().exponent());
    Exponential s = softmax.scaled(scale);
    Exponential p = plusPlus.scaled(own);
    Generalized g = generalized.scaled(scale);
    return new Convention(label, s, p, g, bareSoftmax, masksKeys, draw, kernelNames);
  }

  /** Whether features of this kernel exist in it. */
  public boolean has(Kernel kernel) {
    return !kernel.isCalibrated() || softmax.stabilizer() instanceof Centred;
  }

  /** Whether features of keys depend on other positions, so that no simple recurrence exists. */
  public boolean couplesPositions(Kernel kernel) {
    Exponential rule = exponential(kernel);
    return rule != null
        && (resolve(kernel).isBidirectionalOnly() || rule.stabilizer() instanceof Maxima);
  }

  @Override
  public String toString() {
    return label;
  }
}
