package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;

/**
 * One checkpoint directory, {@code step-N}: TensorFlow's files under {@link #prefix} and {@code
 * state.json}, which is written last and holds size and CRC-32 of every other file, so that a
 * damaged checkpoint is known.
 */
public record Checkpoint(Path directory, TrainingState state) {
  private static final String STATE = "state.json";
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  /** What TensorFlow's save and restore ops take. */
  public static Path prefix(Path directory) {
    return directory.resolve("variables");
  }

  public Path prefix() {
    return prefix(directory);
  }

  /** Completes a directory that holds all other files, and brings everything to the disk. */
  static void seal(Path directory, TrainingState state) throws IOException {
    ObjectNode json = JSON.createObjectNode();
    json.set("state", JSON.valueToTree(state));
    ObjectNode files = json.putObject("files");
    try (var list = Files.list(directory)) {
      for (Path file : list.filter(Files::isRegularFile).sorted().toList()) {
        AtomicFiles.force(file);
        ObjectNode entry = files.putObject(file.getFileName().toString());
        entry.put("bytes", Files.size(file)).put("crc32", crc32(file));
      }
    }
    Path stateFile = directory.resolve(STATE);
    JSON.writeValue(stateFile.toFile(), json);
    AtomicFiles.force(stateFile);
  }

  /** Reads a directory. @throws IOException that names what is missing or damaged */
  public static Checkpoint open(Path directory) throws IOException {
    JsonNode json = JSON.readTree(directory.resolve(STATE).toFile());
    JsonNode files = json.path("files");
    require(!files.isEmpty(), "state.json names no files");
    for (var field : files.properties()) {
      Path file = directory.resolve(field.getKey());
      JsonNode entry = field.getValue();
      require(Files.isRegularFile(file), field.getKey() + " is missing");
      require(
          Files.size(file) == entry.path("bytes").asLong(-1)
              && crc32(file) == entry.path("crc32").asLong(-1),
          field.getKey() + " is cut off or damaged");
    }
    TrainingState state = JSON.treeToValue(json.path("state"), TrainingState.class);
    require(
        state != null && state.position() != null && state.best() != null,
        "state.json lacks the state");
    return new Checkpoint(directory, state);
  }

  private static void require(boolean holds, String otherwise) throws IOException {
    if (!holds) {
      throw new IOException(otherwise);
    }
  }

  private static long crc32(Path file) throws IOException {
    try (var in = new CheckedInputStream(Files.newInputStream(file), new CRC32())) {
      in.transferTo(OutputStream.nullOutputStream());
      return in.getChecksum().getValue();
    }
  }
}
