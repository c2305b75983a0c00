package dev.performer.attention;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import dev.performer.data.Labels;
import dev.performer.graph.Algebra;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.types.family.TFloating;

/**
 * The function of a query and a key whose random-feature estimate replaces the attention matrix.
 *
 * <p>The first five estimate or vary the softmax kernel {@code exp(q·k/√D)} and need a projection.
 * The others are generalized attention, {@code φ(x) = f(P x)} or, without a projection, {@code
 * f(x)}.
 *
 * <p>Everything about a kernel stands on its constant, so that another one is one constant here:
 * its label, its features, and its names in foreign code.
 */
public enum Kernel {
  /** Positive features {@code exp(ω·x − |x|²/2)} (paper, lemma 1). */
  SOFTMAX(
      "softmax",
      new Positive(false, true),
      garden("exp"),
      jaxSoftmax("nonnegative_softmax_kernel_feature_creator"),
      torch("softmax")),
  /** Positive features of ω and −ω, so two features a direction (paper, lemma 1). */
  HYPERBOLIC("hyperbolic", new Positive(true, true)),
  /** {@code exp(|x|²/2) (cos ω·x, sin ω·x)}; two features a direction; can be negative. */
  TRIGONOMETRIC(
      "trigonometric", new Trigonometric(), jaxSoftmax("sincos_softmax_kernel_feature_creator")),
  /** Positive bounded features (arXiv 2205.15317); bidirectional only. */
  FAVOR_PLUS_PLUS("favor++", new PlusPlus(), garden("expplus")),
  /**
   * Positive features of ω and −ω, stretched to where a head's q + k lie (FAVOR#, arXiv
   * 2302.00787): the layer's variables say where ({@link Calibration}); without them those of
   * {@link #HYPERBOLIC}.
   */
  SDERF("sderf", new Sderf()),
  /** Model Garden's softmax features without the norm term. */
  EXPMOD("expmod", new Positive(false, false), garden("expmod")),
  RELU(
      "relu",
      new Generalized((a, x) -> a.tf().nn.relu(x), Zeros.HALF_SPACE),
      garden("relu"),
      jax("relu"),
      jax("jrelu"),
      torch("relu")),
  ELU("elu", new Generalized((a, x) -> a.plus(a.tf().nn.elu(x), 1), Zeros.NONE), garden("elu")),
  SQUARE("square", new Generalized((a, x) -> a.tf().math.square(x), Zeros.POINT), garden("square")),
  EXP("exp", new Generalized((a, x) -> a.tf().math.exp(x), Zeros.NONE), jax("jexp")),
  IDENTITY(
      "identity", new Generalized((a, x) -> x, Zeros.SIGNED), garden("identity"), jax("jidentity")),
  /** The exact form, with erf. */
  GELU("gelu", new Generalized(Kernel::gelu, Zeros.SIGNED), jax("jgelu")),
  TANH("tanh", new Generalized((a, x) -> a.tf().math.tanh(x), Zeros.SIGNED), jax("jtanh")),
  SIGMOID(
      "sigmoid", new Generalized((a, x) -> a.tf().math.sigmoid(x), Zeros.NONE), jax("jsigmoid")),
  COS("cos", new Generalized((a, x) -> a.tf().math.cos(x), Zeros.SIGNED), jax("jcos")),
  SIN("sin", new Generalized((a, x) -> a.tf().math.sin(x), Zeros.SIGNED), jax("jsin")),
  ABS("abs", new Generalized((a, x) -> a.tf().math.abs(x), Zeros.POINT)),
  /** {@code relu(x)²}. */
  REQU(
      "requ",
      new Generalized((a, x) -> a.tf().math.square(a.tf().nn.relu(x)), Zeros.HALF_SPACE),
      jax("jrequ")),
  /** {@code exp(x)} up to 0, {@code x + 1} above. */
  SHIFTED_ELU(
      "shifted-elu",
      new Generalized((a, x) -> a.plus(a.tf().nn.elu(x), 1), Zeros.NONE),
      jax("jshiftedelu"));

  /** What is used where nothing else is chosen. */
  public static final Kernel DEFAULT = SOFTMAX;

  /** Replaces exact attention unless another is chosen: the least error of the softmax kernels. */
  public static final Kernel CLOSEST = HYPERBOLIC;

  /** Replaces exact attention where a model's own queries and keys have been looked at. */
  public static final Kernel CALIBRATED = SDERF;

  /** The least work: no projection, one comparison a number. */
  public static final Kernel CHEAPEST = RELU;

  /** φ(x) = x. */
  public static final Kernel PLAIN = IDENTITY;

  /** What a kernel's features are made of. */
  public sealed interface Form {}

  /** {@code exp(ω·x − |x|²/2)}; of −ω, too, where mirrored; without the norm where it has none. */
  public record Positive(boolean isMirrored, boolean hasNorm) implements Form {}

  /** {@code exp(|x|²/2) (cos ω·x, sin ω·x)}. */
  public record Trigonometric() implements Form {}

  /** {@code exp(A|ω|² + √(1−4A) ω·x − |x|²/2)}. */
  public record PlusPlus() implements Form {}

  /** {@code exp(ωᵀAω + ωᵀBx − |x|²/2)} of ω and −ω, with A and B of each head. */
  public record Sderf() implements Form {}

  /** {@code f(ω·x)}; where f is 0 decides whether it needs an ε. */
  public record Generalized(Function function, Zeros zeros) implements Form {}

  /** An element-wise function, in the type of its argument. */
  @FunctionalInterface
  public interface Function {
    Operand<TFloating> of(Algebra<TFloating> a, Operand<TFloating> x);

    /** {@code f(x)} in the type of {@code x}. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    default <T extends TFloating> Operand<T> apply(Algebra<T> a, Operand<T> x) {
      return (Operand) of((Algebra) a, (Operand) x);
    }
  }

  /**
   * Where a function of generalized attention is 0: nowhere, as it is positive; in one point; on
   * one side of it, so that all features of a query can be 0; between values of both signs.
   */
  public enum Zeros {
    NONE,
    POINT,
    HALF_SPACE,
    SIGNED
  }

  /**
   * Code that has names of its own for kernels; Google's JAX code has one kind of functions for
   * generalized attention, and another that makes features of softmax.
   */
  public enum Code {
    MODEL_GARDEN,
    JAX,
    JAX_SOFTMAX,
    PERFORMER_PYTORCH
  }

  /** What a kernel is called elsewhere. */
  private record ForeignName(Code code, String name) {}

  private static ForeignName garden(String name) {
    return new ForeignName(Code.MODEL_GARDEN, name);
  }

  private static ForeignName jax(String name) {
    return new ForeignName(Code.JAX, name);
  }

  private static ForeignName jaxSoftmax(String name) {
    return new ForeignName(Code.JAX_SOFTMAX, name);
  }

  private static ForeignName torch(String name) {
    return new ForeignName(Code.PERFORMER_PYTORCH, name);
  }

  private final String label;
  private final Form form;
  private final List<ForeignName> foreign;

  Kernel(String label, Form form, ForeignName... foreign) {
    this.label = label;
    this.form = form;
    this.foreign = List.of(foreign);
  }

  private static Operand<TFloating> gelu(Algebra<TFloating> a, Operand<TFloating> x) {
    Operand<TFloating> erf = a.tf().math.erf(a.times(x, Math.sqrt(0.5)));
    return a.tf().math.mul(a.times(x, 0.5), a.plus(erf, 1));
  }

  /** The name on the command line and in files. */
  @JsonValue
  public String label() {
    return label;
  }

  /** The kernel of a label. @throws dev.performer.PerformerException if there is none */
  @JsonCreator
  public static Kernel of(String label) {
    return Labels.find("kernel", label, List.of(values()), Kernel::label);
  }

  /** All labels. */
  public static List<String> labels() {
    return Arrays.stream(values()).map(Kernel::label).toList();
  }

  /** Those whose features estimate the softmax kernel without a bias. */
  public static List<Kernel> unbiased() {
    return Arrays.stream(values())
        .filter(k -> k.isSoftmax() && !(k.form instanceof Positive p && !p.hasNorm()))
        .toList();
  }

  /** The kernel that other code calls so. */
  public static Optional<Kernel> named(Code code, String name) {
    return Arrays.stream(values()).filter(k -> k.names(code).anyMatch(name::equals)).findFirst();
  }

  /** All names that other code has for kernels, sorted. */
  public static List<String> allNames(Code code) {
    return Arrays.stream(values()).flatMap(k -> k.names(code)).sorted().toList();
  }

  /** The name in other code; empty if it has no such kernel. */
  public Optional<String> nameIn(Code code) {
    return names(code).findFirst();
  }

  private Stream<String> names(Code code) {
    return foreign.stream().filter(f -> f.code == code).map(ForeignName::name);
  }

  /** What its features are made of. */
  public Form form() {
    return form;
  }

  /** Whether this estimates the softmax kernel, and so needs a projection. */
  public boolean isSoftmax() {
    return !(form instanceof Generalized);
  }

  /** Whether features depend on all positions, so that no causal form exists. */
  public boolean isBidirectionalOnly() {
    return form instanceof PlusPlus;
  }

  /** Whether each head has variables of its own that say where its features lie. */
  public boolean isCalibrated() {
    return form instanceof Sderf;
  }

  /** Features made of one row of the projection: R = 2 M for mirrored or trigonometric, else M. */
  public int featuresPerDirection() {
    boolean isPair = form instanceof Trigonometric || form instanceof Sderf;
    return isPair || form instanceof Positive p && p.isMirrored() ? 2 : 1;
  }

  @Override
  public String toString() {
    return label;
  }
}
