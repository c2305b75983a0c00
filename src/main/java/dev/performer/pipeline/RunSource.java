package dev.performer.pipeline;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The model that a run fine-tunes; {@code source.json} of its directory.
 *
 * @param model the SavedModel it started from
 * @param signature the signature that is trained
 * @param graph SHA-256 of its saved_model.pb; null where an older version wrote this
 */
record RunSource(Path model, String signature, String graph) {
  /** Where it is inside a run directory. */
  static final String FILE = "source.json";

  private static final ObjectMapper JSON = new ObjectMapper();

  static RunSource of(Path model, String signature) {
    return new RunSource(model.toAbsolutePath().normalize(), signature, digest(model));
  }

  /**
   * @throws PerformerException if it is no such run directory
   */
  static RunSource read(Path run) {
    Path file = run.resolve(FILE);
    try {
      JsonNode json = JSON.readTree(file.toFile());
      if (json.path("model").isTextual() && json.path("signature").isTextual()) {
        return new RunSource(
            Path.of(json.path("model").asText()),
            json.path("signature").asText(),
            json.path("graph").asText(null));
      }
    } catch (IOException e) {
      String why = e.getMessage().strip().replaceAll("\\s*\\R\\s*", " ");
      throw new PerformerException(file + ": cannot be read: " + why, e);
    }
    throw new PerformerException(
        file + ": keys 'model' and 'signature' are expected: which model the run trains");
  }

  void write(Path run) {
    Map<String, Object> source = new LinkedHashMap<>();
    source.put("model", model.toString());
    source.put("signature", signature);
    source.put("graph", graph);
    Path file = run.resolve(FILE);
    try {
      String text = JSON.writerWithDefaultPrettyPrinter().writeValueAsString(source) + "\n";
      AtomicFiles.write(file, text.getBytes(StandardCharsets.UTF_8));
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
    if (started.graph != null && !started.graph.equals(graph)) {
      throw new PerformerException(
          "%s trains another model, %s; resume with that one, or choose another directory for %s"
              .formatted(run, started.model, model));
    }
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
