package dev.performer.attention;

import static dev.performer.PerformerException.require;
import static java.util.Objects.requireNonNullElse;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.performer.PerformerException;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.attention.projection.Threefry;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * How FAVOR+ attends; everything but the projection matrix itself. JSON, YAML, gin, the command
 * line and a model's card all describe it by this record, and the graph is built from it.
 *
 * @param kernel what is estimated
 * @param convention whose constants and guards
 * @param causal whether position l sees keys 0 … l only
 * @param features M, random directions, which are the rows of P, as in Google's nb_features; 0 is
 *     no projection. A feature vector has R = M or, where a kernel makes two features of each
 *     direction, R = 2M features; without a projection R = D
 * @param directions how directions of the projection are drawn
 * @param lengths how long they are
 * @param draw whose random numbers they are
 * @param seed of the draw; where one description stands for all layers, our own and Model Garden's
 *     draws add the layer's number, and Google's share one matrix
 * @param redrawEvery training steps between draws of a new projection; 0 keeps the first
 * @param chunk C, the chunk length of causal attention; 0 lets {@link #chunkFor} choose
 * @param epsilon added to features instead of the convention's; null keeps it
 * @param denominatorEpsilon the guard of the denominator, in the way of the convention; null keeps
 *     it
 * @param renormalize whether outputs are divided at all
 * @param exactHeads how many heads, the first ones, attend exactly
 * @param maskKeys whether padded keys are left out
 */
@JsonDeserialize(builder = FavorConfig.FavorKeys.class)
@JsonInclude(JsonInclude.Include.NON_NULL)
public record FavorConfig(
    Kernel kernel,
    Convention convention,
    boolean causal,
    int features,
    Directions directions,
    Lengths lengths,
    ProjectionDraw draw,
    long seed,
    int redrawEvery,
    int chunk,
    Double epsilon,
    Double denominatorEpsilon,
    boolean renormalize,
    int exactHeads,
    boolean maskKeys) {
  /** The number of directions where none is given and the kernel needs a projection. */
  public static final int DEFAULT_FEATURES = 256;

  private static final String FOREIGN = "kernel %s has no form in convention %s; use %s";

  /** Checks. @throws PerformerException if the parts do not go together */
  public FavorConfig {
    Kernel meant = convention.resolve(kernel);
    notNegative("features", features);
    notNegative("chunk", chunk);
    notNegative("redrawEvery", redrawEvery);
    notNegative("exactHeads", exactHeads);
    String message =
        "kernel %s takes statistics of the whole sequence and cannot be causal; use %s or %s";
    boolean isPossible = !causal || !meant.isBidirectionalOnly();
    require(isPossible, message, kernel, Kernel.DEFAULT, Kernel.CLOSEST);
    require(convention.has(meant), FOREIGN, kernel, convention, Convention.PERFORMER);
    boolean needsNone = features > 0 || !meant.isSoftmax() || convention.bareSoftmax();
    require(needsNone, "kernel %s needs a projection; set features above 0", kernel);
    boolean redraws = features > 0 || redrawEvery == 0;
    require(redraws, "redrawEvery needs a projection; set features above 0");
  }

  private static void notNegative(String key, int value) {
    require(value >= 0, "%s cannot be negative: %d", key, value);
  }

  /** A bidirectional map with our convention, 256 features of Haar-orthogonal chi(D) directions. */
  public static FavorConfig of(Kernel kernel) {
    return builder().kernel(kernel).build();
  }

  /** Nothing given yet. */
  public static FavorKeys builder() {
    return new FavorKeys();
  }

  /** All of this as given. */
  public FavorKeys toBuilder() {
    return builder()
        .kernel(kernel)
        .convention(convention)
        .causal(causal)
        .features(features)
        .directions(directions)
        .lengths(lengths)
        .draw(draw)
        .seed(seed)
        .redrawEvery(redrawEvery)
        .chunk(chunk)
        .epsilon(epsilon)
        .denominatorEpsilon(denominatorEpsilon)
        .renormalize(renormalize)
        .exactHeads(exactHeads)
        .maskKeys(maskKeys);
  }

  /** Another convention, with its draw and its treatment of padding. */
  public FavorConfig withConvention(Convention c) {
    return toBuilder().convention(c).draw(c.draw()).maskKeys(c.masksKeys()).build();
  }

  public FavorConfig withCausal(boolean c) {
    return toBuilder().causal(c).build();
  }

  public FavorConfig withFeatures(int m) {
    return toBuilder().features(m).build();
  }

  /** The same as layer {@code i} has it: with the seed of its own projection. */
  public FavorConfig ofLayer(int layer) {
    return draw.isPerLayer() ? toBuilder().seed(seed + layer).build() : this;
  }

  /** Whether there is a projection matrix. */
  public boolean hasProjection() {
    return features > 0;
  }

  /** Shape and kind of the projection. @throws PerformerException if this has none */
  public Projection projection(int headSize) {
    require(hasProjection(), "features=0 means no projection; set features to draw one");
    return new Projection(features, headSize, directions, lengths);
  }

  /**
   * Draws the projection {@code [M, D]}; empty where there is none.
   *
   * @throws PerformerException if the code that the draw follows makes no such projections
   */
  public Optional<ProjectionMatrix> draw(int headSize) {
    return hasProjection() ? Optional.of(draw.draw(projection(headSize), seed)) : Optional.empty();
  }

  /**
   * The chunk length for R features of values of size V: the given one, or what was the fastest on
   * this machine ({@link MachineTuning}), or as {@link #formulaChunk}.
   */
  public int chunkFor(long r, long v) {
    return chunk > 0 ? chunk : MachineTuning.chunk(r, v).orElseGet(() -> formulaChunk(r, v));
  }

  /** Near the optimum √(R·V) of memory traffic against work in the triangle. */
  public static int formulaChunk(long r, long v) {
    return LinearAttention.defaultChunk(r, v);
  }

  /** The kernel that the convention means by the label of {@link #kernel}. */
  public Kernel meantKernel() {
    return convention.resolve(kernel);
  }

  /** How outputs are divided. */
  public Denominator denominator() {
    Denominator own = renormalize ? convention.denominator(kernel) : new Denominator.Absent();
    return denominatorEpsilon == null || !renormalize ? own : own.withEpsilon(denominatorEpsilon);
  }

  /** ε of exponential features. */
  double exponentialEpsilon() {
    return epsilon == null ? convention.exponential(kernel).epsilon() : epsilon;
  }

  /** ε of the features {@code f(Px)}. */
  double generalizedEpsilon(Kernel.Zeros zeros) {
    var rule = convention.generalized();
    double own = epsilon == null ? rule.epsilon() : epsilon;
    return rule.epsilonFor().contains(zeros) ? own : 0;
  }

  /**
   * What is given of a {@link FavorConfig}; the rest has its defaults when it is built. An argument
   * of null is the same as not calling the method.
   */
  @JsonAutoDetect(fieldVisibility = Visibility.ANY)
  public static class FavorKeys {
    Kernel kernel;
    Convention convention;
    Boolean causal;
    Integer features;
    Directions directions;
    Lengths lengths;
    ProjectionDraw draw;
    Long seed;
    Integer redrawEvery;
    Integer chunk;
    Double epsilon;
    Double denominatorEpsilon;
    Boolean renormalize;
    Integer exactHeads;
    Boolean maskKeys;
    private transient Threefry.Stream threefry;
    private transient Double numericalStabilizer;

    protected FavorKeys() {}

    public FavorKeys kernel(Kernel value) {
      return given(value, v -> kernel = v);
    }

    public FavorKeys convention(Convention value) {
      return given(value, v -> convention = v);
    }

    public FavorKeys causal(Boolean value) {
      return given(value, v -> causal = v);
    }

    public FavorKeys features(Integer value) {
      return given(value, v -> features = v);
    }

    public FavorKeys directions(Directions value) {
      return given(value, v -> directions = v);
    }

    public FavorKeys lengths(Lengths value) {
      return given(value, v -> lengths = v);
    }

    public FavorKeys draw(ProjectionDraw value) {
      return given(value, v -> draw = v);
    }

    /** Which of JAX's random streams draws; other draws have none. */
    public FavorKeys threefry(Threefry.Stream value) {
      return given(value, v -> threefry = v);
    }

    public FavorKeys seed(Long value) {
      return given(value, v -> seed = v);
    }

    public FavorKeys redrawEvery(Integer value) {
      return given(value, v -> redrawEvery = v);
    }

    public FavorKeys chunk(Integer value) {
      return given(value, v -> chunk = v);
    }

    public FavorKeys epsilon(Double value) {
      return given(value, v -> epsilon = v);
    }

    public FavorKeys denominatorEpsilon(Double value) {
      return given(value, v -> denominatorEpsilon = v);
    }

    /**
     * Google's argument of that name: in its JAX code the guard of the denominator and, for softmax
     * features, their ε; elsewhere ε.
     */
    public FavorKeys numericalStabilizer(Double value) {
      return given(value, v -> numericalStabilizer = v);
    }

    public FavorKeys renormalize(Boolean value) {
      return given(value, v -> renormalize = v);
    }

    public FavorKeys exactHeads(Integer value) {
      return given(value, v -> exactHeads = v);
    }

    public FavorKeys maskKeys(Boolean value) {
      return given(value, v -> maskKeys = v);
    }

    /** As given, or null; so are those below. */
    public Kernel kernel() {
      return kernel;
    }

    public Convention convention() {
      return convention;
    }

    public Boolean causal() {
      return causal;
    }

    public Integer features() {
      return features;
    }

    public Long seed() {
      return seed;
    }

    /** Whether any key of FAVOR+ is given; {@code causal} is one of every attention. */
    public boolean isGiven() {
      return Stream.of(
              kernel, convention,
              features, directions,
              lengths, draw,
              seed, redrawEvery,
              chunk, epsilon,
              denominatorEpsilon, renormalize,
              exactHeads, maskKeys)
          .anyMatch(Objects::nonNull);
    }

    /** What this gives, over what {@code base} gives. */
    public FavorKeys over(FavorKeys base) {
      return base.kernel(kernel)
          .convention(convention)
          .causal(causal)
          .features(features)
          .directions(directions)
          .lengths(lengths)
          .draw(draw)
          .threefry(threefry)
          .seed(seed)
          .redrawEvery(redrawEvery)
          .chunk(chunk)
          .epsilon(epsilon)
          .denominatorEpsilon(denominatorEpsilon)
          .numericalStabilizer(numericalStabilizer)
          .renormalize(renormalize)
          .exactHeads(exactHeads)
          .maskKeys(maskKeys);
    }

    /** The description. @throws PerformerException if it has no kernel or parts do not fit */
    public FavorConfig build() {
      require(kernel != null, "FAVOR+ needs a kernel, such as %s", Kernel.DEFAULT);
      Convention c = convention == null ? Convention.PERFORMER : convention;
      Kernel meant = c.resolve(kernel);
      ProjectionDraw drawn = draw == null ? c.draw() : draw;
      Double e = epsilon;
      Double guard = denominatorEpsilon;
      if (numericalStabilizer != null) {
        boolean guards = c.denominator(kernel) instanceof Denominator.AddNearZero;
        e = guards && !meant.isSoftmax() ? e : numericalStabilizer;
        guard = guards ? numericalStabilizer : guard;
      }
      return new FavorConfig(
          kernel,
          c,
          requireNonNullElse(causal, false),
          requireNonNullElse(features, meant.isSoftmax() ? DEFAULT_FEATURES : 0),
          requireNonNullElse(directions, Directions.ORTHOGONAL),
          requireNonNullElse(lengths, Lengths.CHI),
          threefry == null ? drawn : drawn.withStream(threefry),
          requireNonNullElse(seed, 0L),
          requireNonNullElse(redrawEvery, 0),
          requireNonNullElse(chunk, 0),
          e,
          guard,
          requireNonNullElse(renormalize, true),
          requireNonNullElse(exactHeads, 0),
          requireNonNullElse(maskKeys, c.masksKeys()));
    }

    private <T> FavorKeys given(T value, Consumer<T> key) {
      if (value != null) {
        key.accept(value);
      }
      return this;
    }
  }
}
