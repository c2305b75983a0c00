package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

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
    return new RunSource(model.toAbsolutePath().normalize().toString(), signature, digest(model));
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
    if (!Files.exists(run.resolve(FILE))) {
      return; // whoever resumes it finds out what else is missing
    }
    RunSource started = read(run);
    require(
        started.graph == null || started.graph.equals(graph),
        "%s trains another model, %s; resume with that one, or choose another directory for %s",
        run,
        started.model,
        model);
  }

  private static String digest(Path model) {
    Path file = model.resolve("saved_model.pb");
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      return HexFormat.of().formatHex(sha.digest(Files.readAllBytes(file)));
    } catch (IOException | NoSuchAlgorithmException e) {
      throw new PerformerException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }
}
