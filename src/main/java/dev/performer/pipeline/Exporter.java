package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.graph.SaveRestore;
import dev.performer.pipeline.ModelLocation.RunSource;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.Lora;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OutputDirectory;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.RunDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/**
 * Writes SavedModels for serving; all signatures and Python's objects stay as they were.
 *
 * <pre>{@code
 * Exporter.to(Path.of("served")).replacing(true).export(Path.of("runs/family"), "best");
 * }</pre>
 */
public record Exporter(Path target, boolean replace) {
  /** Writes to a new directory. */
  public static Exporter to(Path target) {
    return new Exporter(target, false);
  }

  /** The same, replacing what is there or not. */
  public Exporter replacing(boolean value) {
    return new Exporter(target, value);
  }

  /**
   * Writes the weights of a run's checkpoint, or a checked copy of a model.
   *
   * @param source a run directory, also of a run that was stopped, or a SavedModel
   * @param checkpoint of a run: {@code best}, {@code last} or {@code step-N}
   * @return where the weights were read
   * @throws PerformerException if there is none such, or the target cannot be written
   */
  public Path export(Path source, String checkpoint) {
    OutputDirectory.requireFree(target, replace);
    if (RecipeTraining.isRun(source)) {
      Path folder = checkpoint(source, checkpoint);
      RecipeTraining.export(source, folder, target, replace);
      return folder;
    }
    return ModelLocation.isRun(source)
        ? exportRun(source, checkpoint(source, checkpoint).resolve("variables"))
        : exportModel(source);
  }

  private Path exportModel(Path source) {
    var directory = SavedModelDirectory.open(ModelLocation.savedModel(source));
    // Any signature will do: what it does not use is kept bit for bit.
    var names = directory.signatures().keySet();
    String usual = ImportedModel.DEFAULT_SIGNATURE;
    String signature = names.isEmpty() || names.contains(usual) ? usual : names.iterator().next();
    var card = ModelCard.read(directory.path());
    write(directory, signature, Optional.empty(), Optional.empty(), card);
    return directory.variablesPrefix();
  }

  private Path exportRun(Path run, Path weights) {
    require(
        Files.exists(run.resolve(RunSource.FILE)),
        "%s: trains on sequences of a program, which alone knows what their tokens mean; resume it there, its end writes a model",
        run);
    RunSource from = RunSource.read(run);
    Path original = Path.of(from.model());
    // The run's own card, which knows what was trained, goes before that of the original.
    Path finished = run.resolve(ModelTraining.MODEL);
    boolean isFinished = Files.exists(finished.resolve(ModelCard.FILE));
    var card = ModelCard.read(isFinished ? finished : original);
    Path config = run.resolve(RunDirectory.CONFIG);
    var adaptation =
        Optional.of(StrictJson.readTree(config).at("/training/lora"))
            .filter(JsonNode::isObject)
            .map(lora -> StrictJson.bind(lora, Lora.class, config.toString()))
            .map(lora -> new Lora.Adaptation(lora, List.of(), 0));
    var model = SavedModelDirectory.open(original);
    write(model, from.signature(), adaptation, Optional.of(weights), card);
    return weights;
  }

  private void write(
      SavedModelDirectory original,
      String signature,
      Optional<Lora.Adaptation> adaptation,
      Optional<Path> weights,
      Optional<ModelCard> card) {
    try (var model = ImportedModel.load(original, List.of(signature), adaptation);
        var session = new Session(model.graph(), false)) {
      model.restore(session);
      Ops tf = Ops.create(model.graph());
      weights.ifPresent(at -> SaveRestore.of(tf, model.variables()).restore(session, at));
      model.merge(session);
      WeightReplacement replacement = WeightReplacement.of(original.path());
      card.ifPresent(replacement::card);
      (replace ? replacement.replaceExisting() : replacement)
          .export(session, model.variables(), target);
    }
  }

  private static Path checkpoint(Path run, String name) {
    String step = name;
    if (name.equals("best") || name.equals("last")) {
      Path pointer = run.resolve(name);
      try {
        step = Files.readString(pointer).strip();
      } catch (IOException e) {
        String text = "%s: cannot be read; the run has no checkpoint yet";
        throw new PerformerException(text.formatted(pointer), e);
      }
    }
    Path folder = run.resolve("checkpoints").resolve(step);
    if (!Files.isDirectory(folder)) {
      String text = "%s: no such checkpoint; choose the checkpoint best, last or step-N";
      throw new PerformerException(text.formatted(folder)).settledBy("checkpoint");
    }
    return folder;
  }
}
