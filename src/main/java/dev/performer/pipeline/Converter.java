package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OutputDirectory;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Path;
import java.util.List;

/**
 * Replaces a model's exact softmax attention by FAVOR+, as the conversion specifies, and keeps all
 * weights; the result is an approximation.
 *
 * <pre>{@code
 * new Converter(conversion).convert(Path.of("exact"), Path.of("favor"), false);
 * }</pre>
 */
public record Converter(FavorConversion conversion) {
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
    FavorConversion.Converted converted;
    try {
      converted = conversion.apply(model.config(), model.weights());
    } catch (PerformerException e) {
      throw e.in(source);
    }
    var config = converted.config();
    String note = note(conversion, converted);
    ModelCard old = model.card();
    var lm = old.languageModel();
    lm =
        lm == null
            ? null
            : PerformerModels.languageModel(config, lm.masking()).withEnd(old.learntEnd());
    var origin = origin(old).madeFrom(source, List.of(note)); // metrics were of exact attention
    var card =
        ModelCard.of(config.attentionOf(0), old.vocabulary(), lm, origin)
            .withEmbedding(old.embedding())
            .withChatTemplate(old.chatTemplate());
    PerformerModels.write(config, converted.weights(), card, target, replace);
    return new Outcome(target, converted.layers(), note);
  }

  /** One line on what was done. */
  static String note(FavorConversion how, FavorConversion.Converted converted) {
    var to = how.favor();
    String heads = to.exactHeads() == 0 ? "" : ", exact heads " + to.exactHeads();
    return "exact attention of layers %s replaced by FAVOR+ (%s, %d features, %s, seed %d%s)"
        .formatted(converted.layers(), to.kernel(), to.features(), to.lengths(), to.seed(), heads);
  }

  /** Where a model comes from, as far as that is known. */
  static ModelCard.Provenance origin(ModelCard card) {
    return card.provenance() == null ? ModelCard.Provenance.UNKNOWN : card.provenance();
  }
}
