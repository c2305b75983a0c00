package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.graph.SaveRestore;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.WeightReplacement;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code export}: a SavedModel for serving. */
@Command(
    name = "export",
    description = {
      "Write a SavedModel for serving.",
      "",
      "From a run directory of train or fine-tune: the model it trains with the weights of a checkpoint, also where the run was stopped.",
      "From a SavedModel: a checked copy. All signatures and Python's objects stay as they were."
    })
final class ExportCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;

  @Parameters(
      index = "0",
      paramLabel = "MODEL|RUN",
      description = "A SavedModel or a run directory.")
  private Path source;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "Where the SavedModel goes.")
  private Path target;

  @Option(
      names = "--checkpoint",
      defaultValue = "best",
      paramLabel = "C",
      description = "Of a run: best, last or step-N (default: ${DEFAULT-VALUE}).")
  private String checkpoint;

  @Option(names = "--replace", description = "Replace a SavedModel that is at DIR.")
  private boolean replace;

  @Override
  public Integer call() {
    boolean isTrained = RecipeTraining.isRun(source);
    boolean isRun = isTrained || Files.exists(source.resolve(FineTuning.SOURCE));
    String weights;
    if (isTrained) {
      Path folder = checkpoint();
      RecipeTraining.export(source, folder, target, replace);
      weights = folder.toString();
    } else {
      weights = isRun ? exportRun() : exportModel();
    }
    output.text().println("Written: " + target + (isRun ? " with the weights of " + weights : ""));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", target.toString());
    json.put("weights", weights);
    output.printJson(json);
    return 0;
  }

  private String exportModel() {
    SavedModelDirectory directory = SavedModelDirectory.open(source);
    // Any signature will do: what it does not use is kept bit for bit.
    List<String> names = List.copyOf(directory.signatures().keySet());
    String signature =
        names.contains(ImportedModel.DEFAULT_SIGNATURE) || names.isEmpty()
            ? ImportedModel.DEFAULT_SIGNATURE
            : names.get(0);
    try (ImportedModel model = ImportedModel.load(directory, List.of(signature));
        Session session = new Session(model.graph(), false)) {
      model.restore(session);
      replacement(source, ModelCard.read(source)).export(session, model.variables(), target);
    }
    return directory.variablesPrefix().toString();
  }

  private String exportRun() {
    FineTuning.Source from = FineTuning.source(source);
    String weights = checkpoint().resolve("variables").toString();
    try (ImportedModel model = ImportedModel.load(from.model(), from.signature());
        Session session = new Session(model.graph(), false)) {
      model.restore(session);
      SaveRestore.of(Ops.create(model.graph()), model.variables())
          .restore(session, Path.of(weights));
      replacement(from.model(), card(from.model())).export(session, model.variables(), target);
    }
    return weights;
  }

  private WeightReplacement replacement(Path original, Optional<ModelCard> card) {
    WeightReplacement replacement = WeightReplacement.of(original);
    card.ifPresent(replacement::card);
    return replace ? replacement.replaceExisting() : replacement;
  }

  /** The run's own card, which knows what was trained, before that of the model it started from. */
  private Optional<ModelCard> card(Path from) {
    Path finished = source.resolve(FineTuning.MODEL);
    return ModelCard.read(Files.exists(finished.resolve(ModelCard.FILE)) ? finished : from);
  }

  private Path checkpoint() {
    String name = checkpoint;
    if (name.equals("best") || name.equals("last")) {
      Path pointer = source.resolve(name);
      try {
        name = Files.readString(pointer).strip();
      } catch (IOException e) {
        throw new PerformerException(
            pointer + ": cannot be read; the run has no checkpoint yet", e);
      }
    }
    Path folder = source.resolve("checkpoints").resolve(name);
    if (!Files.isDirectory(folder)) {
      throw new PerformerException(
          folder + ": no such checkpoint; give --checkpoint best, last or step-N");
    }
    return folder;
  }
}
