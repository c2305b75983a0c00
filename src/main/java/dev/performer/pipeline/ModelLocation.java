package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.checkpoint.Checkpoints;
import dev.performer.data.StrictJson;
import dev.performer.recipe.RecipeTraining;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.RunDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** The SavedModel that a path means. */
final class ModelLocation {
  private static final String GRAPH = "saved_model.pb";

  private ModelLocation() {}

  /** A SavedModel itself, or the export of a run, which must have one; no checkpoint. */
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
    String text = "%s: is a checkpoint, not a model; import it, which makes a model of it";
    require(!isCheckpoint(path), text, path);
    return path; // reading it will say what is missing
  }

  /** Whether a path is the directory of a run. */
  static boolean isRun(Path path) {
    return RecipeTraining.isRun(path)
        || Files.exists(path.resolve(RunSource.FILE))
        || Files.exists(path.resolve(RunDirectory.CONFIG))
            && Files.isDirectory(path.resolve("checkpoints"));
  }

  static boolean isCheckpoint(Path path) {
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

  /**
   * The model that a run fine-tunes; {@code source.json} of its directory.
   *
   * @param model the SavedModel it started from
   * @param signature the signature that is trained
   * @param graph SHA-256 of its saved_model.pb; null where an older version wrote this
   */
  record RunSource(String model, String signature, String graph) {
    /** Where it is inside a run directory. */
    static final String FILE = "source.json";

    static RunSource of(Path model, String signature) {
      Path file = model.resolve(GRAPH);
      try {
        var sha = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
        String path = model.toAbsolutePath().normalize().toString();
        return new RunSource(path, signature, HexFormat.of().formatHex(sha));
      } catch (IOException | NoSuchAlgorithmException e) {
        throw new PerformerException(file + ": cannot be read: " + e.getMessage(), e);
      }
    }

    static RunSource read(Path run) {
      Path file = run.resolve(FILE);
      RunSource source = StrictJson.read(file, RunSource.class);
      boolean isWhole = source.model != null && source.signature != null;
      require(isWhole, "%s: keys 'model' and 'signature' are expected: what the run trains", file);
      return source;
    }

    void write(Path run) {
      Path file = run.resolve(FILE);
      try {
        StrictJson.write(file, this);
      } catch (IOException e) {
        throw new PerformerException(file + ": cannot be written: " + AtomicFiles.describe(e), e);
      }
    }

    /** A checkpoint belongs to one graph; another may have variables of the same names. */
    void requireStarted(Path run) {
      if (Files.exists(run.resolve(FILE))) { // else whoever resumes it finds what is missing, too
        RunSource started = read(run);
        boolean isSame = started.graph == null || started.graph.equals(graph);
        String text =
            "%s trains another model, %s; resume with that one, or choose another directory for %s";
        require(isSame, text, run, started.model, model);
      }
    }
  }
}
