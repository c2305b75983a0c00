package dev.performer.attention;

import dev.performer.data.Labels;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One implementation's choice of constants and guards. The kernels are the same everywhere; where ε
 * goes, over which axes maxima are taken, what scales the data and what guards the division is not.
 *
 * @param label the name on the command line and in files
 * @param softmax for softmax, hyperbolic, expmod and trigonometric features
 * @param plusPlus for FAVOR++
 * @param generalized for the kernels {@code f(Px)}
 * @param aliases kernels that this implementation means by another one's name
 */
public record Convention(
    String label,
    Exponential softmax,
    Exponential plusPlus,
    Generalized generalized,
    Map<Kernel, Kernel> aliases) {

  /** How exponentials are kept in the range of float32. */
  public sealed interface Stabilizer {
    /** Features shifted to {@code exp(−|ω−k'|²/2 + D/2)}: bounded keys, no maximum over them. */
    record Centred() implements Stabilizer {}

    /** A maximum of the projected data is subtracted, and its gradient is kept. */
    record Maxima(Maximum query, Maximum key) implements Stabilizer {}
  }

  /**
   * @param scale of queries and keys
   * @param stabilizer what keeps the exponential in range
   * @param epsilon added to the exponential, before 1/√M
   * @param denominator how to divide
   */
  public record Exponential(
      Scale scale, Stabilizer stabilizer, double epsilon, Denominator denominator) {}

  /** Where generalized features get their 1/√M, if there is a projection. */
  public enum Ratio {
    NONE,
    /** {@code f(Px/√M) + ε}. */
    INSIDE,
    /** {@code (f(Px) + ε)/√M}. */
    OUTSIDE
  }

  /**
   * @param scale of queries and keys
   * @param ratio where 1/√M goes
   * @param epsilon added to the features of {@code epsilonKernels}
   * @param epsilonKernels the kernels that get ε
   * @param denominator how to divide
   */
  public record Generalized(
      Scale scale,
      Ratio ratio,
      double epsilon,
      Set<Kernel> epsilonKernels,
      Denominator denominator) {
    public Generalized {
      epsilonKernels = Set.copyOf(epsilonKernels);
    }

    double epsilonOf(Kernel kernel) {
      return epsilonKernels.contains(kernel) ? epsilon : 0;
    }
  }

  public Convention {
    aliases = Map.copyOf(aliases);
  }

  private static final Set<Kernel> ALL = EnumSet.allOf(Kernel.class);

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
          new Exponential(
              Scale.SOFTMAX,
              new Stabilizer.Centred(),
              0,
              new Denominator.ZeroBelow(SMALLEST_CENTRED)),
          new Exponential(
              Scale.SOFTMAX, new Stabilizer.Centred(), 0, new Denominator.ZeroBelow(SMALLEST)),
          new Generalized(
              Scale.NONE,
              Ratio.NONE,
              1e-3,
              EnumSet.of(Kernel.RELU, Kernel.REQU, Kernel.SQUARE, Kernel.ABS),
              new Denominator.ZeroBelow(SMALLEST)),
          Map.of());

  /** google-research performer/fast_attention/tensorflow (since 2021). */
  public static final Convention GOOGLE_TF =
      new Convention(
          "google-tf",
          new Exponential(
              Scale.SOFTMAX,
              new Stabilizer.Maxima(Maximum.FEATURES, Maximum.LENGTH_AND_FEATURES),
              1e-6,
              new Denominator.Unguarded()),
          new Exponential(
              Scale.SOFTMAX,
              new Stabilizer.Maxima(Maximum.FEATURES, Maximum.LENGTH_AND_FEATURES),
              1e-6,
              new Denominator.Unguarded()),
          new Generalized(Scale.NONE, Ratio.INSIDE, 1e-3, ALL, new Denominator.Unguarded()),
          Map.of());

  /** google-research performer/fast_attention/jax, and its copies in LRA and SCENIC. */
  public static final Convention GOOGLE_JAX =
      new Convention(
          "google-jax",
          new Exponential(
              Scale.SOFTMAX,
              new Stabilizer.Maxima(Maximum.FEATURES, Maximum.LENGTH_AND_FEATURES),
              1e-6,
              new Denominator.AddNearZero(1e-6)),
          new Exponential(
              Scale.SOFTMAX,
              new Stabilizer.Maxima(Maximum.FEATURES, Maximum.LENGTH_AND_FEATURES),
              1e-6,
              new Denominator.AddNearZero(1e-6)),
          new Generalized(Scale.NONE, Ratio.NONE, 1e-3, ALL, new Denominator.AddNearZero(0)),
          Map.of());

  /**
   * tensorflow/models KernelAttention, its scaling of queries and keys included. Its {@code exp} is
   * our softmax, its {@code expplus} our FAVOR++.
   */
  public static final Convention MODEL_GARDEN =
      new Convention(
          "model-garden",
          new Exponential(
              Scale.SOFTMAX,
              new Stabilizer.Maxima(
                  Maximum.HEADS_LENGTH_AND_FEATURES, Maximum.HEADS_LENGTH_AND_FEATURES),
              0,
              new Denominator.AddAlways(1e-6)),
          new Exponential(
              new Scale(1, -0.5),
              new Stabilizer.Maxima(Maximum.FEATURES, Maximum.EVERYTHING),
              1e-6,
              new Denominator.AddAlways(1e-6)),
          new Generalized(
              Scale.SOFTMAX,
              Ratio.OUTSIDE,
              1e-3,
              EnumSet.of(Kernel.RELU),
              new Denominator.AddAlways(1e-6)),
          new EnumMap<>(Map.of(Kernel.EXP, Kernel.SOFTMAX)));

  private static final List<Convention> KNOWN =
      List.of(PERFORMER, GOOGLE_TF, GOOGLE_JAX, MODEL_GARDEN);

  /**
   * The convention of a label.
   *
   * @throws dev.performer.PerformerException if there is none; it names the nearest
   */
  public static Convention of(String label) {
    return KNOWN.stream()
        .filter(c -> c.label.equals(label))
        .findFirst()
        .orElseThrow(
            () ->
                Labels.unknown(
                    "convention", label, KNOWN.stream().map(Convention::label).toList()));
  }

  /** The conventions that have a label. */
  public static List<Convention> known() {
    return KNOWN;
  }

  /** The kernel that this convention means by {@code kernel}. */
  public Kernel resolve(Kernel kernel) {
    return aliases.getOrDefault(kernel, kernel);
  }

  /** How outputs of {@code kernel} are divided. */
  public Denominator denominator(Kernel kernel) {
    return switch (resolve(kernel).family()) {
      case EXPONENTIAL, TRIGONOMETRIC -> softmax.denominator();
      case PLUS_PLUS -> plusPlus.denominator();
      case GENERALIZED -> generalized.denominator();
    };
  }

  /** With another division for every kernel. */
  public Convention withDenominator(Denominator d) {
    return new Convention(
        label,
        new Exponential(softmax.scale(), softmax.stabilizer(), softmax.epsilon(), d),
        new Exponential(plusPlus.scale(), plusPlus.stabilizer(), plusPlus.epsilon(), d),
        new Generalized(
            generalized.scale(),
            generalized.ratio(),
            generalized.epsilon(),
            generalized.epsilonKernels(),
            d),
        aliases);
  }

  /** Without the division: outputs are weighted sums. */
  public Convention withoutRenormalization() {
    return withDenominator(new Denominator.Absent());
  }

  /** With another ε inside the exponential features. */
  public Convention withSoftmaxEpsilon(double epsilon) {
    return new Convention(
        label,
        new Exponential(softmax.scale(), softmax.stabilizer(), epsilon, softmax.denominator()),
        new Exponential(plusPlus.scale(), plusPlus.stabilizer(), epsilon, plusPlus.denominator()),
        generalized,
        aliases);
  }

  /** With another ε on generalized features; the kernels that get it stay. */
  public Convention withGeneralizedEpsilon(double epsilon) {
    return new Convention(
        label,
        softmax,
        plusPlus,
        new Generalized(
            generalized.scale(),
            generalized.ratio(),
            epsilon,
            generalized.epsilonKernels(),
            generalized.denominator()),
        aliases);
  }

  /**
   * With another scale of queries and keys for every kernel but FAVOR++, which in Model Garden has
   * a further {@code D^-1/4} on top: that one is kept.
   */
  public Convention withScale(Scale scale) {
    Scale own =
        new Scale(
            scale.factor() * plusPlus.scale().factor() / generalized.scale().factor(),
            scale.exponent() + plusPlus.scale().exponent() - softmax.scale().exponent());
    return new Convention(
        label,
        new Exponential(scale, softmax.stabilizer(), softmax.epsilon(), softmax.denominator()),
        new Exponential(own, plusPlus.stabilizer(), plusPlus.epsilon(), plusPlus.denominator()),
        new Generalized(
            scale,
            generalized.ratio(),
            generalized.epsilon(),
            generalized.epsilonKernels(),
            generalized.denominator()),
        aliases);
  }

  /** Whether softmax features may be of the data itself, as Model Garden's are without P. */
  boolean allowsBareSoftmax() {
    return generalized.ratio() == Ratio.OUTSIDE;
  }

  /** Whether features of keys depend on other positions, so that no recurrent form exists. */
  public boolean couplesPositions(Kernel kernel) {
    return switch (resolve(kernel).family()) {
      case EXPONENTIAL, TRIGONOMETRIC -> softmax.stabilizer() instanceof Stabilizer.Maxima;
      case PLUS_PLUS -> true;
      case GENERALIZED -> false;
    };
  }
}
