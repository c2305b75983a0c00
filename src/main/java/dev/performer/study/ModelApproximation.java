package dev.performer.study;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.data.NpyArray;
import dev.performer.model.AttentionConfig;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.PerformerModels;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** FAVOR+ against exact attention, on a model's own queries and keys, layer by layer. */
public final class ModelApproximation {
  /** Tokens of a sequence at most, by default; the closed form costs the cube of it. */
  public static final int DEFAULT_LENGTH = 256;

  private final String name;
  private final PerformerModels.Saved model;
  private final List<AttentionErrors.Trial> trials = new ArrayList<>();

  /**
   * What is tried in place of the model's own attention; null for what is left as it is, or by
   * default where a model attends exactly.
   */
  public record Alternative(
      Kernel kernel,
      Integer features,
      Projection.Directions directions,
      Projection.Lengths lengths,
      Long seed) {
    /** The model's own; where it attends exactly, what a conversion would put in its place. */
    public static final Alternative NONE = new Alternative(null, null, null, null, null);
  }

  /**
   * @param name of the model, for messages
   * @throws PerformerException if a layer attends in a way that cannot be compared
   */
  public ModelApproximation(String name, PerformerModels.Saved model, Alternative alternative) {
    this.name = name;
    this.model = model;
    for (int i = 0; i < model.config().layers(); i++) {
      trials.add(trial(i, alternative));
    }
  }

  /** Tokens of a sequence at most: those requested, or what the model can take. */
  public int longest(int requested) {
    var longest = model.config().longestSequence();
    return longest.isPresent() ? Math.min(requested, longest.getAsInt()) : requested;
  }

  /**
   * Measures on some sequences.
   *
   * @param sequences token ids without padding, each at most {@link #longest} long
   * @param pad what fills up short sequences
   * @param paddedLength to which all are padded; 0 for not at all
   */
  public LayerErrors measure(List<int[]> sequences, int pad, int paddedLength) {
    List<AttentionErrors.Row> rows =
        new AttentionErrors(model.config(), model.weights())
            .measure(trials, sequences, pad, paddedLength);
    return new LayerErrors(name, trials, rows, sequences.size());
  }

  private AttentionErrors.Trial trial(int layer, Alternative alternative) {
    AttentionConfig own = model.config().attentionOf(layer);
    if (!(own instanceof AttentionConfig.Exact) && !(own instanceof AttentionConfig.Favor)) {
      throw new PerformerException(
          name + ": layer " + layer + " attends as Model Garden does, which estimates no softmax");
    }
    if (own instanceof AttentionConfig.Favor favor && alternative.equals(Alternative.NONE)) {
      NpyArray stored = model.weights().get("layer_" + layer + "/attention/projection");
      if (stored == null) {
        throw new PerformerException(
            name
                + ": layer "
                + layer
                + " has no projection, so it estimates no softmax; give a number of features to"
                + " try one");
      }
      return new AttentionErrors.Trial(favor, stored.floats());
    }
    AttentionConfig.Favor tried = tried(own, layer, alternative);
    int size = model.config().headSize();
    return new AttentionErrors.Trial(tried, tried.projection(size).draw(tried.seed()));
  }

  private static AttentionConfig.Favor tried(
      AttentionConfig own, int layer, Alternative alternative) {
    FavorConversion conversion =
        new FavorConversion(
            or(alternative.kernel(), Kernel.HYPERBOLIC),
            or(alternative.features(), FavorConfig.DEFAULT_FEATURES),
            or(alternative.lengths(), Projection.Lengths.SQRT_D),
            or(alternative.seed(), 0L),
            0,
            Set.of());
    return conversion.favor(
        own.isCausal(),
        conversion.seed() + layer,
        or(alternative.directions(), Projection.Directions.ORTHOGONAL));
  }

  private static <T> T or(T given, T standard) {
    return given == null ? standard : given;
  }
}
