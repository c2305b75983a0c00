package dev.performer.attention.projection;

import com.fasterxml.jackson.annotation.JsonValue;
import dev.performer.PerformerException;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import java.util.Locale;

/** Whose random numbers a projection is drawn from, number by number. */
public enum ProjectionDraw {
  /** Ours: Haar-orthogonal or independent directions; every layer has its own. */
  PERFORMER(true, (p, seed) -> new ProjectionMatrix(p.draw(seed), p.rows(), p.columns())),
  /** JAX's legacy threefry stream, {@code draw_weights(PRNGKey(seed))}; all layers share one. */
  JAX_LEGACY(false, (p, seed) -> JaxProjections.of(p, Threefry.Stream.LEGACY).draw((int) seed)),
  /** The same with the stream that newer JAX uses by default. */
  JAX_PARTITIONABLE(
      false, (p, seed) -> JaxProjections.of(p, Threefry.Stream.PARTITIONABLE).draw((int) seed)),
  /** Google Research's TensorFlow code; all layers share one. */
  GOOGLE_TF(
      false,
      (p, seed) -> new TensorFlowProjections(p.rows(), p.columns(), seed, p.lengths()).first()),
  /** Model Garden's stateless stream; every layer has its own. */
  MODEL_GARDEN(true, (p, seed) -> ModelGardenProjections.ofLayer(p.rows(), p.columns(), seed));

  private interface Draw {
    ProjectionMatrix matrix(Projection projection, long seed);
  }

  private final boolean isPerLayer;
  private final Draw draw;

  ProjectionDraw(boolean isPerLayer, Draw draw) {
    this.isPerLayer = isPerLayer;
    this.draw = draw;
  }

  /** The name in files. */
  @JsonValue
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** Whether each layer draws its own. */
  public boolean isPerLayer() {
    return isPerLayer;
  }

  /** The same draw from another stream. @throws PerformerException if this is no draw of JAX */
  public ProjectionDraw withStream(Threefry.Stream stream) {
    boolean isJax = this == JAX_LEGACY || this == JAX_PARTITIONABLE;
    String message = "threefry is JAX's random stream, but projections are drawn as %s does";
    PerformerException.require(isJax, message, label());
    return stream == Threefry.Stream.LEGACY ? JAX_LEGACY : JAX_PARTITIONABLE;
  }

  /** Whether the code that is followed makes such projections at all. */
  private boolean makes(Directions directions, Lengths lengths) {
    boolean isOrthogonal = directions == Directions.ORTHOGONAL;
    return switch (this) {
      case PERFORMER -> true;
      case JAX_LEGACY, JAX_PARTITIONABLE -> isOrthogonal || lengths == Lengths.CHI;
      case GOOGLE_TF -> isOrthogonal;
      case MODEL_GARDEN -> isOrthogonal && lengths == Lengths.CHI;
    };
  }

  /** Checks a kind. @throws PerformerException if the code that is followed makes no such one */
  public void require(Directions directions, Lengths lengths) {
    String message =
        "a draw as %s makes it has no %s projections with row lengths %s; choose other ones, or the draw performer";
    PerformerException.require(makes(directions, lengths), message, label(), directions, lengths);
  }

  /** Draws {@code [M, D]}. @throws PerformerException as {@link #require} does */
  public ProjectionMatrix draw(Projection projection, long seed) {
    require(projection.directions(), projection.lengths());
    return draw.matrix(projection, seed);
  }
}
