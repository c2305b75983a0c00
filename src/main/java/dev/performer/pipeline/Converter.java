package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.model.FavorConversion;
import dev.performer.model.InterpolatedPositions;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OutputDirectory;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Replaces a model's exact softmax attention by FAVOR+, as the conversion specifies, and keeps all
 * weights; the result is an approximation. Or makes its table of positions longer; or both.
 *
 * <pre>{@code
 * new Converter(conversion).convert(Path.of("exact"), Path.of("favor"), false);
 * }</pre>
 */
public record Converter(
    Optional<FavorConversion> conversion, Optional<InterpolatedPositions> positions) {
  /** Replaces attention only. */
  public Converter(FavorConversion conversion) {
    this(Optional.of(conversion), Optional.empty());
  }

  /** The SavedModel that was written, the layers that were replaced, and one line on it. */
  public record Outcome(Path model, List<Integer> layers, String note) {}

  /**
   * Converts a model of ours with exact attention, and may replace what is at the target.
   *
   * @throws PerformerException if no layer attends exactly, or the target cannot be written
   */
  public Outcome convert(Path source, Path target, boolean replace) {
    OutputDirectory.requireFree(target, replace);
    PerformerModels.Saved model = PerformerModels.load(ModelLocation.savedModel(source));
    List<String> notes = new ArrayList<>();
    FavorConversion.Converted converted;
    try {
      converted = converted(model.config(), model.weights(), notes);
    } catch (PerformerException e) {
      throw e.in(source);
    }
    var config = converted.config();
    ModelCard old = model.card();
    var lm = old.languageModel();
    lm =
        lm == null
            ? null
            : PerformerModels.languageModel(config, lm.masking()).withEnd(old.learntEnd());
    var origin = origin(old).madeFrom(source, notes); // metrics were of the original
    var card =
        ModelCard.of(config.attentionOf(0), old.vocabulary(), lm, origin)
            .withEmbedding(old.embedding())
            .withChatTemplate(old.chatTemplate());
    PerformerModels.write(config, converted.weights(), card, target, replace);
    return new Outcome(target, converted.layers(), String.join("; ", notes));
  }

  /** Positions first, then attention, as far as they are to be changed. */
  FavorConversion.Converted converted(
      PerformerConfig config, Map<String, NpyArray> weights, List<String> notes) {
    var now = new FavorConversion.Converted(config, weights, List.of());
    if (positions.isPresent()) {
      var longer = positions.get().apply(config, weights);
      notes.add(positions.get().note(config));
      now = new FavorConversion.Converted(longer.config(), longer.weights(), List.of());
    }
    if (conversion.isPresent()) {
      now = conversion.get().apply(now.config(), now.weights());
      notes.add(note(conversion.get(), now));
    }
    return now;
  }

  private static String note(FavorConversion how, FavorConversion.Converted converted) {
    var to = how.favor();
    String heads = to.exactHeads() == 0 ? "" : ", exact heads " + to.exactHeads();
    if (to.hasBand()) {
      heads += ", exact within %d positions and at sinks %s".formatted(to.window(), to.sinks());
    }
    return "exact attention of layers %s replaced by FAVOR+ (%s, %d features, %s, seed %d%s)"
        .formatted(converted.layers(), to.kernel(), to.features(), to.lengths(), to.seed(), heads);
  }

  /** Where a model comes from, as far as that is known. */
  static ModelCard.Provenance origin(ModelCard card) {
    return card.provenance() == null ? ModelCard.Provenance.UNKNOWN : card.provenance();
  }
}
