package dev.performer.cli;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.JaxProjections;
import dev.performer.attention.projection.ModelGardenProjections;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.attention.projection.TensorFlowProjections;
import dev.performer.attention.projection.Threefry;
import dev.performer.data.NpyArray;
import java.util.OptionalLong;
import picocli.CommandLine.Option;

/**
 * How a projection matrix is drawn where none is given. Google's conventions draw with Google's
 * generators.
 */
final class ProjectionOptions {
  @Option(
      names = "--features",
      description =
          "M, the length of the feature vectors, where no P is given (default: 256 for softmax kernels, 0 = no projection for the others).")
  private Integer features;

  @Option(
      names = "--seed",
      defaultValue = "0",
      description = "Seed of the projection (default: ${DEFAULT-VALUE}).")
  private int seed;

  @Option(
      names = "--projection",
      defaultValue = "orthogonal",
      description = "orthogonal or iid (default: ${DEFAULT-VALUE}).")
  private Directions directions;

  @Option(
      names = "--lengths",
      defaultValue = "chi",
      description =
          "Row lengths: chi (unbiased) or sqrt-d (regularised) (default: ${DEFAULT-VALUE}).")
  private Lengths lengths;

  @Option(
      names = "--threefry",
      defaultValue = "partitionable",
      description =
          "JAX's random stream, convention google-jax: legacy or partitionable (default: ${DEFAULT-VALUE}).")
  private String threefry;

  /**
   * Draws P.
   *
   * @return {@code [R, D]}, or null for no projection
   */
  NpyArray draw(Kernel kernel, Convention convention, int headSize) {
    FavorConfig defaults = FavorConfig.of(kernel).withConvention(convention);
    int m = features == null ? defaults.features() : features;
    FavorConfig config = defaults.withFeatures(m).withDirections(directions).withLengths(lengths);
    if (!config.hasProjection()) {
      return null;
    }
    Projection projection = config.projection(headSize);
    int rows = projection.rows();
    boolean iid = projection.directions() == Directions.IID;
    Lengths rowLengths = projection.lengths();
    ProjectionMatrix matrix =
        switch (convention.label()) {
          case "google-tf" -> {
            refuse(iid, convention, "iid projections");
            yield new TensorFlowProjections(
                    rows,
                    headSize,
                    seed,
                    rowLengths,
                    TensorFlowProjections.Blocks.ORTHOGONAL,
                    OptionalLong.empty())
                .first();
          }
          case "model-garden" -> {
            refuse(iid, convention, "iid projections");
            refuse(rowLengths != Lengths.CHI, convention, "row lengths other than chi");
            yield ModelGardenProjections.ofLayer(rows, headSize, seed);
          }
          case "google-jax" ->
              new JaxProjections(rows, headSize, projection.directions(), rowLengths, stream())
                  .draw(seed);
          default -> new ProjectionMatrix(projection.draw(seed), rows, headSize);
        };
    return NpyArray.of(matrix.values(), matrix.shape());
  }

  private Threefry.Stream stream() {
    for (Threefry.Stream stream : Threefry.Stream.values()) {
      if (stream.name().equalsIgnoreCase(threefry)) {
        return stream;
      }
    }
    throw new UsageException("--threefry must be legacy or partitionable, not '" + threefry + "'");
  }

  private static void refuse(boolean wrong, Convention convention, String what) {
    if (wrong) {
      throw new UsageException(
          "convention "
              + convention.label()
              + " has no "
              + what
              + "; use --convention performer or give P");
    }
  }
}
