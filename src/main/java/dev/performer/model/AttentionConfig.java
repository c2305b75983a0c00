package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonValue;
import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.Denominator;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionDraw;

/**
 * How one layer attends. In JSON and YAML: {@code {exact: true}}, {@code {kernel: relu, features:
 * 128, …}} for FAVOR+, or {@code {modelGarden: {featureTransform: exp, …}}}.
 */
public sealed interface AttentionConfig {

  /** Whether position l sees keys 0 … l only. */
  boolean isCausal();

  /** Rows M of the projection; 0 for none. */
  int projectionRows();

  /**
   * Softmax attention.
   *
   * @param causal whether position l sees keys 0 … l only
   * @param maskQueries whether queries that are padding see all positions alike, as in Flax; it
   *     changes nothing at real tokens
   */
  record Exact(boolean causal, boolean maskQueries) implements AttentionConfig {
    /** As Keras and PyTorch have it. */
    public Exact(boolean causal) {
      this(causal, false);
    }

    @Override
    public boolean isCausal() {
      return causal;
    }

    @Override
    public int projectionRows() {
      return 0;
    }
  }

  /**
   * FAVOR+.
   *
   * @param kernel what is estimated
   * @param convention whose constants and guards
   * @param causal whether position l sees keys 0 … l only
   * @param features M, rows of the projection; 0 for none
   * @param directions of the projection
   * @param lengths of its rows
   * @param draw whose random numbers it is drawn from
   * @param seed of the draw; where one entry stands for all layers, our own and Model Garden's
   *     draws add the layer's number, and Google's share one matrix
   * @param redrawEvery training steps between draws of a new projection; 0 keeps the first
   * @param chunk length of chunks in causal attention; 0 for the best
   * @param epsilon added to features instead of the convention's; null keeps it
   * @param denominatorEpsilon the guard of the denominator, in the way of the convention; null
   *     keeps it
   * @param renormalize whether outputs are divided at all
   * @param exactHeads how many heads, the first ones, attend exactly
   * @param maskKeys whether padded keys are left out, which Google's JAX and TF code do not
   */
  record Favor(
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
      boolean maskKeys)
      implements AttentionConfig {

    /** Checks that the parts go together. */
    public Favor {
      if (redrawEvery < 0 || exactHeads < 0) {
        throw new PerformerException(
            "attention.redrawEvery and attention.exactHeads cannot be negative");
      }
      if (kernel.isSoftmax() && features == 0 && !convention.label().equals("model-garden")) {
        throw new PerformerException(
            "attention.kernel " + kernel + " needs a projection; set attention.features above 0");
      }
      if (redrawEvery > 0 && features == 0) {
        throw new PerformerException(
            "attention.redrawEvery needs a projection; set attention.features above 0");
      }
      favorConfig(kernel, convention, causal, features, chunk, directions, lengths);
    }

    /** Of a kernel, all else by default: bidirectional, 256 features for softmax kernels. */
    public static Favor of(Kernel kernel) {
      AttentionFields fields = AttentionFields.NONE.withKernel(kernel.label());
      return (Favor) fields.resolve(false);
    }

    /** Without {@code causal} this is bidirectional. */
    public Favor withCausal(boolean c) {
      return new Favor(
          kernel,
          convention,
          c,
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
          maskKeys);
    }

    @Override
    public boolean isCausal() {
      return causal;
    }

    @Override
    public int projectionRows() {
      return features;
    }

    /** The shape and the kind of the projection. */
    public Projection projection(int headSize) {
      return new Projection(features, headSize, directions, lengths);
    }

    /** What the attention room computes. */
    public FavorConfig favorConfig() {
      return favorConfig(kernel, effective(), causal, features, chunk, directions, lengths);
    }

    private static FavorConfig favorConfig(
        Kernel kernel,
        Convention convention,
        boolean causal,
        int features,
        int chunk,
        Directions directions,
        Lengths lengths) {
      return new FavorConfig(kernel, convention, causal, features, chunk, directions, lengths);
    }

    private Convention effective() {
      Convention c = convention;
      if (epsilon != null) {
        c = c.withSoftmaxEpsilon(epsilon).withGeneralizedEpsilon(epsilon);
      }
      if (denominatorEpsilon != null) {
        Denominator own = c.denominator(kernel);
        double e = denominatorEpsilon;
        c =
            c.withDenominator(
                own instanceof Denominator.AddNearZero
                    ? new Denominator.AddNearZero(e)
                    : own instanceof Denominator.ZeroBelow
                        ? new Denominator.ZeroBelow(e)
                        : new Denominator.AddAlways(e));
      }
      return renormalize ? c : c.withoutRenormalization();
    }
  }

  /**
   * Model Garden's KernelAttention.
   *
   * @param config its arguments; where one entry stands for all layers, layer i has {@code seed +
   *     i}
   */
  record ModelGarden(KernelAttentionConfig config) implements AttentionConfig {
    @Override
    public boolean isCausal() {
      return config.mixing() instanceof KernelAttentionConfig.CausalWindowed;
    }

    @Override
    public int projectionRows() {
      return config.numRandomFeatures();
    }
  }

  /** The same attention, causal or not. @throws PerformerException where it cannot be */
  default AttentionConfig withCausality(boolean causal) {
    if (this instanceof Exact exact) {
      return new Exact(causal, exact.maskQueries());
    } else if (this instanceof Favor favor) {
      return favor.withCausal(causal);
    }
    if (causal == isCausal()) {
      return this;
    }
    throw new PerformerException(
        "modelGarden attention is "
            + (causal ? "not causal; set decoderAttention" : "causal; set crossAttention")
            + " in the configuration");
  }

  /** The same attention as one layer has it: with the seed of its own projection. */
  default AttentionConfig ofLayer(int layer) {
    if (this instanceof Favor f && f.draw().isPerLayer()) {
      return new Favor(
          f.kernel(),
          f.convention(),
          f.causal(),
          f.features(),
          f.directions(),
          f.lengths(),
          f.draw(),
          f.seed() + layer,
          f.redrawEvery(),
          f.chunk(),
          f.epsilon(),
          f.denominatorEpsilon(),
          f.renormalize(),
          f.exactHeads(),
          f.maskKeys());
    } else if (this instanceof ModelGarden garden) {
      KernelAttentionConfig c = garden.config();
      return new ModelGarden(
          new KernelAttentionConfig(
              c.kernel(),
              c.numRandomFeatures(),
              c.seed() + layer,
              c.redraw(),
              c.mixing(),
              c.beginKernel(),
              c.scale(),
              c.scaleByLength()));
    }
    return this;
  }

  /** From its keys; {@code causal} is false where it is absent. */
  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  static AttentionConfig of(AttentionFields fields) {
    return fields.resolve(false);
  }

  /** The keys of JSON and YAML, all of them written out. */
  @JsonValue
  default AttentionFields fields() {
    return AttentionFields.of(this);
  }
}
