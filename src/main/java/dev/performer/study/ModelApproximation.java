package dev.performer.study;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorConfig.FavorKeys;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.data.NpyArray;
import dev.performer.model.AttentionConfig;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.study.AttentionErrors.Trial;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/** FAVOR+ against exact attention, on a model's own queries and keys, layer by layer. */
public final class ModelApproximation {
  /** Tokens of a sequence at most, by default; the closed form costs the cube of it. */
  public static final int DEFAULT_LENGTH = 256;

  private final String name;
  private final PerformerModels.Saved model;
  private final List<Trial> trials;

  /**
   * @param name of the model, for messages
   * @param given what is tried; where nothing is given, the model's own attention, and in place of
   *     exact attention what a conversion would put there
   * @throws PerformerException if a layer attends in a way that cannot be compared
   */
  public ModelApproximation(String name, PerformerModels.Saved model, FavorKeys given) {
    this.name = name;
    this.model = model;
    trials = IntStream.range(0, model.config().layers()).mapToObj(i -> trial(i, given)).toList();
  }

  /** Tokens of a sequence at most: those requested, or what the model can take. */
  public int longest(int requested) {
    return Math.min(requested, model.config().longestSequence().orElse(requested));
  }

  /**
   * Measures on some sequences.
   *
   * @param sequences token ids without padding, each at most {@link #longest} long
   * @param pad what fills up short sequences
   * @param paddedLength to which all are padded; 0 for not at all
   */
  public LayerErrors measure(List<int[]> sequences, int pad, int paddedLength) {
    var errors = new AttentionErrors(model.config(), model.weights());
    var rows = errors.measure(trials, sequences, pad, paddedLength);
    return new LayerErrors(name, rows, sequences.size());
  }

  private Trial trial(int layer, FavorKeys given) {
    AttentionConfig own = model.config().attentionOf(layer);
    require(
        own instanceof AttentionConfig.Exact || own instanceof AttentionConfig.Favor,
        "%s: layer %d attends as Model Garden does, which estimates no softmax",
        name,
        layer);
    if (own instanceof AttentionConfig.Favor favor && !given.isGiven()) {
      NpyArray stored = model.weights().get("layer_" + layer + "/attention/projection");
      require(
          stored != null,
          "%s: layer %d has no projection, so it estimates no softmax; give a number of features to"
              + " try one",
          name,
          layer);
      return new Trial(favor.config(), stored.floats());
    }
    FavorConfig all = given.over(FavorConversion.defaults()).build();
    FavorConfig tried = new FavorConversion(all, Set.of()).favor(own, layer);
    var drawn = tried.draw(model.config().headSize());
    return new Trial(tried, drawn.map(ProjectionMatrix::values).orElse(null));
  }
}
