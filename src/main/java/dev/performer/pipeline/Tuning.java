package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.savedmodel.ImportedModel;
import dev.performer.training.LoopOptions;
import dev.performer.training.Trainer;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;

/** What a fine-tuning makes of a model. */
interface Tuning {
  Model model();

  /** The signature that is trained. */
  String signature();

  /** The signature that is evaluated. */
  String evaluated();

  /** Adds a loss to the imported graph, which stays the caller's, and opens the run. */
  Started start(
      ImportedModel imported, LoopOptions loop, Path run, boolean resume, Progress progress);

  /** An open run. */
  interface Started {
    /** The caller closes it. */
    Trainer trainer();

    /**
     * Writes the model with the weights of the trainer's session.
     *
     * @return the largest absolute difference of its outputs, reloaded, from those of the graph
     */
    double export(TrainingResult result, Path target);
  }

  /**
   * Variables that cannot learn in full stay as they are.
   *
   * @param isNew whether there is a new layer, which learns in any case; else an output that no
   *     variable acts on is refused
   */
  static void requireTrainable(
      ImportedModel imported,
      Model model,
      String signature,
      String output,
      boolean isNew,
      Progress progress) {
    var trainability = imported.trainability(signature, output);
    String found = model.path() + " " + trainability.summary();
    require(isNew || !trainability.trainable().isEmpty(), "%s", found);
    if (!trainability.isTrainable()) {
      progress.message("Warning: " + found);
      imported.freeze(trainability.blocked());
    }
  }
}
