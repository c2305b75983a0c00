package dev.performer.attention;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.attention.projection.Threefry;
import java.util.Objects;
import java.util.Optional;
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
@JsonDeserialize(builder = FavorConfig.Builder.class)
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

  /**
   * @throws PerformerException if the parts do not go together
   */
  public FavorConfig {
    Kernel meant = convention.resolve(kernel);
    notNegative("features", features);
    notNegative("chunk", chunk);
    notNegative("redrawEvery", redrawEvery);
    notNegative("exactHeads", exactHeads);
    if (causal && meant.isBidirectionalOnly()) {
      throw new PerformerException(
          "kernel "
              + kernel
              + " takes statistics of the whole sequence and cannot be causal; use "
              + Kernel.DEFAULT
              + " or "
              + Kernel.CLOSEST);
    }
    if (features == 0 && meant.isSoftmax() && !convention.bareSoftmax()) {
      throw new PerformerException(
          "kernel " + kernel + " needs a projection; set features above 0");
    }
    if (features == 0 && redrawEvery > 0) {
      throw new PerformerException("redrawEvery needs a projection; set features above 0");
    }
  }

  private static void notNegative(String key, int value) {
    if (value < 0) {
      throw new PerformerException(key + " cannot be negative: " + value);
    }
  }

  /** A bidirectional map with our convention, 256 features of Haar-orthogonal chi(D) directions. */
  public static FavorConfig of(Kernel kernel) {
    return builder().kernel(kernel).build();
  }

  /** Nothing given yet. */
  public static Builder builder() {
    return new Builder();
  }

  /** All of this as given. */
  public Builder toBuilder() {
    Builder b = new Builder();
    b.kernel = kernel;
    b.convention = convention;
    b.causal = causal;
    b.features = features;
    b.directions = directions;
    b.lengths = lengths;
    b.draw = draw;
    b.seed = seed;
    b.redrawEvery = redrawEvery;
    b.chunk = chunk;
    b.epsilon = epsilon;
    b.denominatorEpsilon = denominatorEpsilon;
    b.renormalize = renormalize;
    b.exactHeads = exactHeads;
    b.maskKeys = maskKeys;
    return b;
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

  public FavorConfig withChunk(int c) {
    return toBuilder().chunk(c).build();
  }

  public FavorConfig withDirections(Directions d) {
    return toBuilder().directions(d).build();
  }

  public FavorConfig withLengths(Lengths l) {
    return toBuilder().lengths(l).build();
  }

  public FavorConfig withEpsilon(double e) {
    return toBuilder().epsilon(e).build();
  }

  /** The same as layer {@code i} has it: with the seed of its own projection. */
  public FavorConfig ofLayer(int layer) {
    return draw.isPerLayer() ? toBuilder().seed(seed + layer).build() : this;
  }

  /** Whether there is a projection matrix. */
  public boolean hasProjection() {
    return features > 0;
  }

  /**
   * The shape and the kind of the projection for one head size.
   *
   * @throws PerformerException if this has no projection
   */
  public Projection projection(int headSize) {
    if (!hasProjection()) {
      throw new PerformerException("features=0 means no projection; set features to draw one");
    }
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
   * The chunk length for R features of values of size V: the given one, or near the optimum √(R·V)
   * of memory traffic against work in the triangle.
   */
  public int chunkFor(long r, long v) {
    return chunk > 0 ? chunk : LinearAttention.defaultChunk(r, v);
  }

  /** The kernel that the convention means by the label of {@link #kernel}. */
  public Kernel meantKernel() {
    return convention.resolve(kernel);
  }

  /** How outputs are divided. */
  public Denominator denominator() {
    if (!renormalize) {
      return new Denominator.Absent();
    }
    Denominator own = convention.denominator(kernel);
    return denominatorEpsilon == null ? own : own.withEpsilon(denominatorEpsilon);
  }

  /** ε of exponential features. */
  double exponentialEpsilon() {
    return epsilon == null ? convention.exponential(kernel).epsilon() : epsilon;
  }

  /** ε of the features {@code f(Px)}. */
  double generalizedEpsilon(Kernel.Zeros zeros) {
    Convention.Generalized rule = convention.generalized();
    if (!rule.epsilonFor().contains(zeros)) {
      return 0;
    }
    return epsilon == null ? rule.epsilon() : epsilon;
  }

  /**
   * What is given of a description; the rest has its defaults when it is built. An argument of null
   * is the same as not calling the method.
   */
  @JsonAutoDetect(fieldVisibility = Visibility.ANY)
  public static class Builder {
    private Kernel kernel;
    private Convention convention;
    private Boolean causal;
    private Integer features;
    private Directions directions;
    private Lengths lengths;
    private ProjectionDraw draw;
    private Long seed;
    private Integer redrawEvery;
    private Integer chunk;
    private Double epsilon;
    private Double denominatorEpsilon;
    private Boolean renormalize;
    private Integer exactHeads;
    private Boolean maskKeys;
    private transient Threefry.Stream threefry;
    private transient Double numericalStabilizer;

    protected Builder() {}

    public Builder kernel(Kernel value) {
      kernel = value == null ? kernel : value;
      return this;
    }

    public Builder convention(Convention value) {
      convention = value == null ? convention : value;
      return this;
    }

    public Builder causal(Boolean value) {
      causal = value == null ? causal : value;
      return this;
    }

    public Builder features(Integer value) {
      features = value == null ? features : value;
      return this;
    }

    public Builder directions(Directions value) {
      directions = value == null ? directions : value;
      return this;
    }

    public Builder lengths(Lengths value) {
      lengths = value == null ? lengths : value;
      return this;
    }

    public Builder draw(ProjectionDraw value) {
      draw = value == null ? draw : value;
      return this;
    }

    /** Which of JAX's random streams draws; other draws have none. */
    public Builder threefry(Threefry.Stream value) {
      threefry = value == null ? threefry : value;
      return this;
    }

    public Builder seed(Long value) {
      seed = value == null ? seed : value;
      return this;
    }

    public Builder redrawEvery(Integer value) {
      redrawEvery = value == null ? redrawEvery : value;
      return this;
    }

    public Builder chunk(Integer value) {
      chunk = value == null ? chunk : value;
      return this;
    }

    public Builder epsilon(Double value) {
      epsilon = value == null ? epsilon : value;
      return this;
    }

    public Builder denominatorEpsilon(Double value) {
      denominatorEpsilon = value == null ? denominatorEpsilon : value;
      return this;
    }

    /**
     * Google's argument of that name: in its JAX code the guard of the denominator and, for softmax
     * features, their ε; elsewhere ε.
     */
    public Builder numericalStabilizer(Double value) {
      numericalStabilizer = value == null ? numericalStabilizer : value;
      return this;
    }

    public Builder renormalize(Boolean value) {
      renormalize = value == null ? renormalize : value;
      return this;
    }

    public Builder exactHeads(Integer value) {
      exactHeads = value == null ? exactHeads : value;
      return this;
    }

    public Builder maskKeys(Boolean value) {
      maskKeys = value == null ? maskKeys : value;
      return this;
    }

    /** The kernel as given, or null. */
    public Kernel kernel() {
      return kernel;
    }

    /** The convention as given, or null. */
    public Convention convention() {
      return convention;
    }

    /** Whether it is causal, as given, or null. */
    public Boolean causal() {
      return causal;
    }

    /** M as given, or null. */
    public Integer features() {
      return features;
    }

    /** The seed as given, or null. */
    public Long seed() {
      return seed;
    }

    /** Whether any key of FAVOR+ is given; {@code causal} is one of every attention. */
    public boolean isGiven() {
      return Stream.of(
              kernel,
              convention,
              features,
              directions,
              lengths,
              draw,
              seed,
              redrawEvery,
              chunk,
              epsilon,
              denominatorEpsilon,
              renormalize,
              exactHeads,
              maskKeys)
          .anyMatch(Objects::nonNull);
    }

    /** What this gives, over what {@code base} gives. */
    public Builder over(Builder base) {
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

    /**
     * The description.
     *
     * @throws PerformerException if there is no kernel, or the parts do not go together
     */
    public FavorConfig build() {
      if (kernel == null) {
        throw new PerformerException("FAVOR+ needs a kernel, such as " + Kernel.DEFAULT);
      }
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
          or(causal, false),
          or(features, meant.isSoftmax() ? DEFAULT_FEATURES : 0),
          or(directions, Directions.ORTHOGONAL),
          or(lengths, Lengths.CHI),
          threefry == null ? drawn : drawn.withStream(threefry),
          or(seed, 0L),
          or(redrawEvery, 0),
          or(chunk, 0),
          e,
          guard,
          or(renormalize, true),
          or(exactHeads, 0),
          or(maskKeys, c.masksKeys()));
    }

    private static <T> T or(T value, T absent) {
      return value == null ? absent : value;
    }
  }
}
