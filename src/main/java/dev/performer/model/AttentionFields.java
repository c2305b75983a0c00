package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;
import java.util.stream.Stream;

/** The keys of an attention entry in JSON and YAML, as {@link AttentionConfig} tells them. */
@JsonInclude(JsonInclude.Include.NON_NULL)
record AttentionFields(
    Boolean exact,
    Boolean maskQueries,
    String kernel,
    String convention,
    Boolean causal,
    Integer features,
    String directions,
    String lengths,
    ProjectionDraw draw,
    Long seed,
    Integer redrawEvery,
    Integer chunk,
    Double epsilon,
    Double denominatorEpsilon,
    Boolean renormalize,
    Integer exactHeads,
    Boolean maskKeys,
    ModelGardenFields modelGarden) {

  static final AttentionFields NONE =
      new AttentionFields(
          null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
          null, null, null);

  AttentionFields withKernel(String label) {
    return new AttentionFields(
        null, null, label, null, null, null, null, null, null, null, null, null, null, null, null,
        null, null, null);
  }

  static AttentionFields of(AttentionConfig attention) {
    if (attention instanceof AttentionConfig.Exact exact) {
      Boolean maskQueries = exact.maskQueries() ? true : null;
      return new AttentionFields(
          true,
          maskQueries,
          null,
          null,
          exact.causal(),
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null);
    } else if (attention instanceof AttentionConfig.ModelGarden garden) {
      return new AttentionFields(
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          null,
          ModelGardenFields.of(garden.config()));
    }
    AttentionConfig.Favor favor = (AttentionConfig.Favor) attention;
    return new AttentionFields(
        null,
        null,
        favor.kernel().label(),
        favor.convention().label(),
        favor.causal(),
        favor.features(),
        favor.directions().toString(),
        favor.lengths().toString(),
        favor.draw(),
        favor.seed(),
        favor.redrawEvery(),
        favor.chunk(),
        favor.epsilon(),
        favor.denominatorEpsilon(),
        favor.renormalize(),
        favor.exactHeads(),
        favor.maskKeys(),
        null);
  }

  /**
   * @param defaultCausal what an absent {@code causal} means
   */
  AttentionConfig resolve(boolean defaultCausal) {
    boolean isExact = Boolean.TRUE.equals(exact);
    boolean hasFavorKey = hasFavorKey();
    if ((isExact ? 1 : 0) + (hasFavorKey ? 1 : 0) + (modelGarden == null ? 0 : 1) > 1) {
      throw new PerformerException(
          "attention is one of exact: true, kernel: … (FAVOR+) or modelGarden: {…}; their keys do"
              + " not go together");
    }
    if (modelGarden != null) {
      if (causal != null) {
        throw new PerformerException(
            "attention.modelGarden is causal with useCausalWindowed: true, not with causal");
      }
      return new AttentionConfig.ModelGarden(modelGarden.config());
    }
    boolean isCausal = or(causal, defaultCausal);
    if (isExact) {
      return new AttentionConfig.Exact(isCausal, or(maskQueries, false));
    }
    if (maskQueries != null) {
      throw new PerformerException("attention.maskQueries needs exact: true");
    }
    if (kernel == null) {
      throw new PerformerException(
          "attention needs exact: true, a kernel (softmax, hyperbolic, relu, …) or modelGarden");
    }
    return favor(isCausal);
  }

  private AttentionConfig.Favor favor(boolean isCausal) {
    Kernel k = Kernel.of(kernel);
    Convention c = Convention.of(or(convention, "performer"));
    boolean isGoogle = c.label().startsWith("google");
    return new AttentionConfig.Favor(
        k,
        c,
        isCausal,
        or(features, k.isSoftmax() ? FavorConfig.DEFAULT_FEATURES : 0),
        Directions.of(or(directions, "orthogonal")),
        Lengths.of(or(lengths, "chi")),
        or(draw, ProjectionDraw.ofConvention(c.label())),
        or(seed, 0L),
        or(redrawEvery, 0),
        or(chunk, 0),
        epsilon,
        denominatorEpsilon,
        or(renormalize, true),
        or(exactHeads, 0),
        or(maskKeys, !isGoogle));
  }

  private boolean hasFavorKey() {
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
        .anyMatch(key -> key != null);
  }

  private static <T> T or(T value, T absent) {
    return value == null ? absent : value;
  }
}
