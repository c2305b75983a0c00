package dev.performer.attention;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.performer.PerformerException;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.attention.projection.ProjectionMatrix;
import java.util.List;
import java.util.Optional;

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
 * @param window W: keys at most so far from a query have their exact softmax weight, and those
 *     before it only where attention is causal; 0 is no window
 * @param sinks keys that have it for all queries: the n-th that counts, from 0, or the n-th last,
 *     from −1; beside features
 * @param linear whether features stand for the other keys; where not, those have no weight
 * @param gate how what was read fades, in causal attention
 */
@JsonDeserialize(builder = FavorKeys.class)
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
    boolean maskKeys,
    int window,
    List<Integer> sinks,
    boolean linear,
    Gate gate) {
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
    notNegative("window", window);
    sinks = List.copyOf(sinks);
    boolean hasBand = window > 0 || !sinks.isEmpty();
    if (hasBand) {
      requireScale(kernel, convention, renormalize);
      requireSinks(sinks, causal);
    }
    require(linear || hasBand, "linear: false leaves only a window and sinks; set one of them");
    if (gate != Gate.NONE) {
      require(
          causal, "a gate acts from token to token, so it needs causal attention; set gate: none");
      require(
          !hasBand,
          "a gate and a window or sinks, whose weights would not fade, do not go together");
      require(
          !convention.couplesPositions(kernel),
          "a gate needs features of one position only, not kernel %s with convention %s; use convention %s",
          kernel,
          convention,
          Convention.PERFORMER);
    }
  }

  private static void requireScale(Kernel kernel, Convention convention, boolean renormalize) {
    require(
        Kernel.unbiased().contains(kernel) && convention.equals(Convention.PERFORMER),
        "window and sinks add exact softmax weights, so they need a kernel that estimates them, one of %s, and convention %s; not kernel %s, convention %s",
        Kernel.unbiased(),
        Convention.PERFORMER,
        kernel,
        convention);
    require(renormalize, "window and sinks share one denominator, so they need renormalize: true");
  }

  private static void requireSinks(List<Integer> sinks, boolean causal) {
    long distinct = sinks.stream().distinct().count();
    require(distinct == sinks.size(), "sinks has a key twice: %s", sinks);
    boolean isBehind = causal && sinks.stream().anyMatch(n -> n < 0);
    require(!isBehind, "sinks of causal attention count from the begin, from 0, not %s", sinks);
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
        .maskKeys(maskKeys)
        .window(window)
        .sinks(sinks)
        .linear(linear)
        .gate(gate);
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

  /** Whether some keys have their exact softmax weight beside the features' estimate. */
  public boolean hasBand() {
    return window > 0 || !sinks.isEmpty();
  }

  /** Whether what was read fades. */
  public boolean hasGate() {
    return gate != Gate.NONE;
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
}
