package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.checkpoint.Checkpoints;
import dev.performer.recipe.RecipeTraining;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.RunDirectory;
import java.nio.file.Files;
import java.nio.file.Path;

/** The SavedModel that a path means. */
final class ModelLocation {
  private static final String GRAPH = "saved_model.pb";

  private ModelLocation() {}

  /**
   * A SavedModel itself, or the export of a run.
   *
   * @throws PerformerException if the run has none yet, or the path is a checkpoint
   */
  static Path savedModel(Path path) {
    if (Files.exists(path.resolve(GRAPH))) {
      return path;
    }
    if (isRun(path)) {
      Path exported = path.resolve(ModelTraining.MODEL);
      require(
          Files.exists(exported.resolve(GRAPH)),
          "%s: is a run that has not come to its end, so it has no model yet; resume it, or export one of its checkpoints",
          path);
      return exported;
    }
    require(
        !isCheckpoint(path),
        "%s: is a checkpoint, not a model; import it, which makes a model of it",
        path);
    return path; // reading it will say what is missing
  }

  /** Whether a path is the directory of a run. */
  static boolean isRun(Path path) {
    return RecipeTraining.isRun(path)
        || Files.exists(path.resolve(RunSource.FILE))
        || Files.exists(path.resolve(RunDirectory.CONFIG))
            && Files.isDirectory(path.resolve("checkpoints"));
  }

  private static boolean isCheckpoint(Path path) {
    if (!Files.exists(path) || Files.isDirectory(path.resolve("variables"))) {
      return false; // a damaged SavedModel holds a checkpoint, too
    }
    try {
      Checkpoints.open(path).close();
      return true;
    } catch (PerformerException e) {
      return false;
    }
  }
}
