package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.graph.SaveRestore;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OutputDirectory;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.ModelTraining;
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
 *
 * @param replace whether a SavedModel that is there may be replaced
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
    SavedModelDirectory directory = SavedModelDirectory.open(ModelLocation.savedModel(source));
    // Any signature will do: what it does not use is kept bit for bit.
    var names = directory.signatures().keySet();
    String signature = ImportedModel.DEFAULT_SIGNATURE;
    if (!names.isEmpty() && !names.contains(signature)) {
      signature = names.iterator().next();
    }
    write(directory, signature, Optional.empty(), ModelCard.read(directory.path()));
    return directory.variablesPrefix();
  }

  private Path exportRun(Path run, Path weights) {
    require(
        Files.exists(run.resolve(RunSource.FILE)),
        "%s: trains on sequences of a program, which alone knows what their tokens mean; resume it there, its end writes a model",
        run);
    RunSource from = RunSource.read(run);
    Path original = Path.of(from.model());
    var directory = SavedModelDirectory.open(original);
    write(directory, from.signature(), Optional.of(weights), card(run, original));
    return weights;
  }

  private void write(
      SavedModelDirectory original,
      String signature,
      Optional<Path> weights,
      Optional<ModelCard> card) {
    try (ImportedModel model = ImportedModel.load(original, List.of(signature));
        Session session = new Session(model.graph(), false)) {
      model.restore(session);
      Ops tf = Ops.create(model.graph());
      weights.ifPresent(at -> SaveRestore.of(tf, model.variables()).restore(session, at));
      WeightReplacement replacement = WeightReplacement.of(original.path());
      card.ifPresent(replacement::card);
      (replace ? replacement.replaceExisting() : replacement)
          .export(session, model.variables(), target);
    }
  }

  /** The run's own card, which knows what was trained, before that of the model it started from. */
  private static Optional<ModelCard> card(Path run, Path from) {
    Path finished = run.resolve(ModelTraining.MODEL);
    return ModelCard.read(Files.exists(finished.resolve(ModelCard.FILE)) ? finished : from);
  }

  private static Path checkpoint(Path run, String name) {
    String step = name;
    if (name.equals("best") || name.equals("last")) {
      Path pointer = run.resolve(name);
      try {
        step = Files.readString(pointer).strip();
      } catch (IOException e) {
        throw new PerformerException(
            pointer + ": cannot be read; the run has no checkpoint yet", e);
      }
    }
    Path folder = run.resolve("checkpoints").resolve(step);
    if (!Files.isDirectory(folder)) {
      throw new PerformerException(
              folder + ": no such checkpoint; choose the checkpoint best, last or step-N")
          .settledBy("checkpoint");
    }
    return folder;
  }
}
