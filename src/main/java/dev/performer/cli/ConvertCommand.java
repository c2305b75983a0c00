package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.Kernel;
import dev.performer.attention.Projection;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.FavorConversion;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
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
      "The result is an approximation: train it further before use. 'approximate' measures kernels."
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

  @Option(
      names = "--kernel",
      defaultValue = "hyperbolic",
      description = "What is estimated. Default: ${DEFAULT-VALUE}.")
  private Kernel kernel;

  @Option(
      names = "--features",
      defaultValue = "256",
      description = "M, rows of each projection. Default: ${DEFAULT-VALUE}.")
  private int features;

  @Option(
      names = "--lengths",
      defaultValue = "sqrt-d",
      description = "How long rows are: chi (unbiased), sqrt-d. Default: ${DEFAULT-VALUE}.")
  private Projection.Lengths lengths;

  @Option(
      names = "--seed",
      defaultValue = "0",
      description = "Of the projections; layer i adds i. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(
      names = "--layers",
      paramLabel = "LIST",
      description = "Such as 0,2-5. Default: all that attend exactly.")
  private String layers;

  @Option(
      names = "--exact-heads",
      defaultValue = "0",
      paramLabel = "K",
      description = "The first K heads go on attending exactly. Default: ${DEFAULT-VALUE}.")
  private int exactHeads;

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
    var conversion =
        new FavorConversion(kernel, features, lengths, seed, exactHeads, layers(layers));
    PerformerModels.Saved model = PerformerModels.load(source);
    FavorConversion.Converted converted;
    try {
      converted = conversion.apply(model.config(), model.weights());
    } catch (PerformerException e) {
      throw new PerformerException(source + ": " + e.getMessage(), e);
    }
    PerformerModels.write(
        converted.config(), converted.weights(), card(model, converted), target, replace);
    output.text().println("Written: " + target + "; " + note(converted));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", target.toString());
    json.put("layers", converted.layers());
    json.put("kernel", kernel.label());
    json.put("features", features);
    json.put("seed", seed);
    output.printJson(json);
    return 0;
  }

  /** Layers of a list of numbers and ranges; empty for no list. */
  static Set<Integer> layers(String list) {
    Set<Integer> layers = new TreeSet<>();
    if (list == null) {
      return layers;
    }
    for (String part : list.split(",", -1)) {
      if (!part.strip().matches("\\d{1,4}(-\\d{1,4})?")) {
        throw new PerformerException(
            "--layers: '" + part + "' is no layer; give numbers and ranges, such as 0,2-5");
      }
      String[] ends = part.strip().split("-");
      int first = Integer.parseInt(ends[0]);
      int last = Integer.parseInt(ends[ends.length - 1]);
      if (last < first) {
        throw new PerformerException("--layers: '" + part + "' ends before it begins");
      }
      for (int i = first; i <= last; i++) {
        layers.add(i);
      }
    }
    return layers;
  }

  private String note(FavorConversion.Converted converted) {
    return "exact attention of layers %s replaced by FAVOR+ (%s, %d features, %s, seed %d%s)"
        .formatted(
            converted.layers(),
            kernel,
            features,
            lengths,
            seed,
            exactHeads == 0 ? "" : ", exact heads " + exactHeads);
  }

  private ModelCard card(PerformerModels.Saved model, FavorConversion.Converted converted) {
    ModelCard old = model.card();
    ModelCard.LanguageModel lm = old.languageModel();
    return ModelCard.of(
        PerformerModels.attention(converted.config()),
        old.vocabulary(),
        lm == null ? null : PerformerModels.languageModel(converted.config(), lm.masking()),
        provenance(old.provenance(), note(converted)));
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
