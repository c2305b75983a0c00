package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code convert}: exact attention replaced by FAVOR+. */
@Command(
    name = "convert",
    description = {
      "Replace a model's exact softmax attention by FAVOR+ and keep all weights.",
      "",
      "The result is an approximation: 'approximate --model' measures it, layer by layer, and 'fine-tune --teacher' brings back what",
      "is lost."
    },
    sortOptions = false)
final class ConvertCommand implements Callable<Integer> {
  /** What attention can be converted to. */
  enum Target {
    FAVOR
  }

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel with exact attention.")
  private Path source;

  @Option(names = "--attention", required = true, description = "To what: favor.")
  private Target attention;

  @Mixin private FavorOptions favor;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "Where the SavedModel goes.")
  private Path target;

  @Option(names = "--replace", description = "Replace a SavedModel that is at DIR.")
  private boolean replace;

  @Mixin private OutputOptions output;

  @Override
  public Integer call() {
    FavorConversion conversion = favor.conversion();
    PerformerModels.Saved model = PerformerModels.load(source);
    FavorConversion.Converted converted;
    try {
      converted = conversion.apply(model.config(), model.weights());
    } catch (PerformerException e) {
      throw new PerformerException(source + ": " + e.getMessage(), e);
    }
    String note = FavorOptions.note(conversion, converted);
    PerformerModels.write(
        converted.config(), converted.weights(), card(model, converted, note), target, replace);
    output.text().println("Written: " + target + "; " + note);
    FavorOptions.next(source, target).forEach(output.text()::println);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", target.toString());
    json.put("layers", converted.layers());
    json.put("kernel", conversion.favor().kernel().label());
    json.put("features", conversion.favor().features());
    json.put("seed", conversion.favor().seed());
    output.printJson(json);
    return 0;
  }

  private ModelCard card(
      PerformerModels.Saved model, FavorConversion.Converted converted, String note) {
    ModelCard old = model.card();
    ModelCard.LanguageModel lm = old.languageModel();
    return ModelCard.of(
        converted.config().attentionOf(0),
        old.vocabulary(),
        lm == null ? null : PerformerModels.languageModel(converted.config(), lm.masking()),
        provenance(old.provenance(), note));
  }

  private ModelCard.Provenance provenance(ModelCard.Provenance p, String note) {
    if (p == null) {
      return new ModelCard.Provenance(
          source.toString(), null, List.of(note), null, null, null, null, null, null, null, null);
    }
    List<String> notes = new ArrayList<>(p.assumptions() == null ? List.of() : p.assumptions());
    notes.add(note);
    return new ModelCard.Provenance(
        p.importedFrom() == null ? source.toString() : p.importedFrom(),
        p.scheme(),
        notes,
        p.importedStep(),
        p.trainedOn(),
        p.seed(),
        p.steps(),
        p.versions(),
        // Measured with exact attention, so no longer true.
        null,
        null,
        p.date());
  }
}
