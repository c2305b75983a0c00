package dev.performer.attention;

import static dev.performer.PerformerException.require;
import static java.util.Objects.requireNonNullElse;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonAutoDetect.Visibility;
import dev.performer.attention.LinearAttention.Denominator;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.attention.projection.Threefry;
import java.util.List;
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
  Integer window;
  List<Integer> sinks;
  Boolean linear;
  Gate gate;
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

  public FavorKeys window(Integer value) {
    return given(value, v -> window = v);
  }

  public FavorKeys sinks(List<Integer> value) {
    return given(value, v -> sinks = v);
  }

  public FavorKeys linear(Boolean value) {
    return given(value, v -> linear = v);
  }

  public FavorKeys gate(Gate value) {
    return given(value, v -> gate = v);
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
            maskKeys,
            window,
            sinks,
            linear,
            gate)
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
        .maskKeys(maskKeys)
        .window(window)
        .sinks(sinks)
        .linear(linear)
        .gate(gate);
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
        requireNonNullElse(features, meant.isSoftmax() ? FavorConfig.DEFAULT_FEATURES : 0),
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
        requireNonNullElse(maskKeys, c.masksKeys()),
        requireNonNullElse(window, 0),
        requireNonNullElse(sinks, List.of()),
        requireNonNullElse(linear, true),
        requireNonNullElse(gate, Gate.NONE));
  }

  private <T> FavorKeys given(T value, Consumer<T> key) {
    if (value != null) {
      key.accept(value);
    }
    return this;
  }
}
