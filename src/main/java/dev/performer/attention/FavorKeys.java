package dev.performer.attention;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility;
import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.attention.projection.Threefry;
import java.util.Objects;
import java.util.function.Consumer;
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

  private <T> FavorKeys given(T value, Consumer<T> key) {
    if (value != null) {
      key.accept(value);
    }
    return this;
  }

  private static <T> T or(T value, T absent) {
    return value == null ? absent : value;
  }
}
