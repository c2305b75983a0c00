package dev.performer.attention.projection;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.OptionalLong;

/** Whose random numbers a projection is drawn from, number by number. */
public enum ProjectionDraw {
  /** Ours: Haar-orthogonal or independent directions; every layer has its own. */
  @JsonProperty("performer")
  PERFORMER,
  /** JAX's legacy threefry stream, {@code draw_weights(PRNGKey(seed))}; all layers share one. */
  @JsonProperty("jax-legacy")
  JAX_LEGACY,
  /** The same with the stream that newer JAX uses by default. */
  @JsonProperty("jax-partitionable")
  JAX_PARTITIONABLE,
  /** Google Research's TensorFlow code; all layers share one. */
  @JsonProperty("google-tf")
  GOOGLE_TF,
  /** Model Garden's stateless stream; every layer has its own. */
  @JsonProperty("model-garden")
  MODEL_GARDEN;

  /** Whether each layer draws its own. */
  public boolean isPerLayer() {
    return this == PERFORMER || this == MODEL_GARDEN;
  }

  /** The draw that implementations of a convention make. */
  public static ProjectionDraw ofConvention(String label) {
    return switch (label) {
      case "google-jax" -> JAX_LEGACY;
      case "google-tf" -> GOOGLE_TF;
      case "model-garden" -> MODEL_GARDEN;
      default -> PERFORMER;
    };
  }

  /** Draws {@code [M, D]}. */
  public ProjectionMatrix draw(Projection projection, long seed) {
    int m = projection.rows();
    int d = projection.columns();
    return switch (this) {
      case PERFORMER -> new ProjectionMatrix(projection.draw(seed), m, d);
      case JAX_LEGACY -> jax(projection, Threefry.Stream.LEGACY).draw((int) seed);
      case JAX_PARTITIONABLE -> jax(projection, Threefry.Stream.PARTITIONABLE).draw((int) seed);
      case GOOGLE_TF ->
          new TensorFlowProjections(
                  m,
                  d,
                  seed,
                  projection.lengths(),
                  TensorFlowProjections.Blocks.ORTHOGONAL,
                  OptionalLong.empty())
              .first();
      case MODEL_GARDEN -> ModelGardenProjections.ofLayer(m, d, seed);
    };
  }

  private static JaxProjections jax(Projection p, Threefry.Stream stream) {
    return new JaxProjections(p.rows(), p.columns(), p.directions(), p.lengths(), stream);
  }
}
