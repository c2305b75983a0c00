package dev.performer.attention;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility;
import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.attention.projection.Threefry;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * What is given of a {@link FavorConfig}; the rest has its defaults when it is built. An argument
 * of null is the same as not calling the method.
 */
@JsonAutoDetect(fieldVisibility = Visibility.ANY)
public class FavorKeys {
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
    kernel = value == null ? kernel : value;
    return this;
  }

  public FavorKeys convention(Convention value) {
    convention = value == null ? convention : value;
    return this;
  }

  public FavorKeys causal(Boolean value) {
    causal = value == null ? causal : value;
    return this;
  }

  public FavorKeys features(Integer value) {
    features = value == null ? features : value;
    return this;
  }

  public FavorKeys directions(Directions value) {
    directions = value == null ? directions : value;
    return this;
  }

  public FavorKeys lengths(Lengths value) {
    lengths = value == null ? lengths : value;
    return this;
  }

  public FavorKeys draw(ProjectionDraw value) {
    draw = value == null ? draw : value;
    return this;
  }

  /** Which of JAX's random streams draws; other draws have none. */
  public FavorKeys threefry(Threefry.Stream value) {
    threefry = value == null ? threefry : value;
    return this;
  }

  public FavorKeys seed(Long value) {
    seed = value == null ? seed : value;
    return this;
  }

  public FavorKeys redrawEvery(Integer value) {
    redrawEvery = value == null ? redrawEvery : value;
    return this;
  }

  public FavorKeys chunk(Integer value) {
    chunk = value == null ? chunk : value;
    return this;
  }

  public FavorKeys epsilon(Double value) {
    epsilon = value == null ? epsilon : value;
    return this;
  }

  public FavorKeys denominatorEpsilon(Double value) {
    denominatorEpsilon = value == null ? denominatorEpsilon : value;
    return this;
  }

  /**
   * Google's argument of that name: in its JAX code the guard of the denominator and, for softmax
   * features, their ε; elsewhere ε.
   */
  public FavorKeys numericalStabilizer(Double value) {
    numericalStabilizer = value == null ? numericalStabilizer : value;
    return this;
  }

  public FavorKeys renormalize(Boolean value) {
    renormalize = value == null ? renormalize : value;
    return this;
  }

  public FavorKeys exactHeads(Integer value) {
    exactHeads = value == null ? exactHeads : value;
    return this;
  }

  public FavorKeys maskKeys(Boolean value) {
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
        or(features, meant.isSoftmax() ? FavorConfig.DEFAULT_FEATURES : 0),
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
