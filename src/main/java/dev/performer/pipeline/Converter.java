package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OutputDirectory;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Path;
import java.util.List;

/**
 * Replaces a model's exact softmax attention by FAVOR+ and keeps all weights; the result is an
 * approximation.
 *
 * <pre>{@code
 * Converter.Outcome outcome =
 *     new Converter(conversion).convert(Path.of("exact"), Path.of("favor"), false);
 * }</pre>
 *
 * @param conversion which layers attend how
 */
public record Converter(FavorConversion conversion) {
  /**
   * What came of it.
   *
   * @param model the SavedModel that was written
   * @param layers that were replaced
   * @param note one line on what was done
   */
  public record Outcome(Path model, List<Integer> layers, String note) {}

  /**
   * Writes a converted model.
   *
   * @param source a model of ours with exact attention
   * @param target where the SavedModel goes
   * @param replace whether one that is there may be replaced
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
    String note = note(conversion, converted);
    PerformerModels.write(
        converted.config(),
        converted.weights(),
        card(source, model, converted, note),
        target,
        replace);
    return new Outcome(target, converted.layers(), note);
  }

  /** One line on what was done. */
  static String note(FavorConversion how, FavorConversion.Converted converted) {
    FavorConfig favor = how.favor();
    return "exact attention of layers %s replaced by FAVOR+ (%s, %d features, %s, seed %d%s)"
        .formatted(
            converted.layers(),
            favor.kernel(),
            favor.features(),
            favor.lengths(),
            favor.seed(),
            favor.exactHeads() == 0 ? "" : ", exact heads " + favor.exactHeads());
  }

  private static ModelCard card(
      Path source, PerformerModels.Saved model, FavorConversion.Converted converted, String note) {
    ModelCard old = model.card();
    ModelCard.LanguageModel lm = old.languageModel();
    ModelCard.Provenance origin =
        old.provenance() == null ? ModelCard.Provenance.UNKNOWN : old.provenance();
    return ModelCard.of(
        converted.config().attentionOf(0),
        old.vocabulary(),
        lm == null ? null : PerformerModels.languageModel(converted.config(), lm.masking()),
        origin.madeFrom(source, List.of(note))); // metrics were of exact attention
  }
}
