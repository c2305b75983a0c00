package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** {@code metrics.jsonl}: one object per line, each on the disk as soon as it is known. */
public final class MetricsLog implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private final List<JsonNode> entries;
  private final BufferedWriter out;

  private MetricsLog(Path file, List<JsonNode> entries, BufferedWriter out) {
    this.file = file;
    this.entries = entries;
    this.out = out;
  }

  /**
   * Opens the log of a run; lines after a step, left by a part of the run that is to be done again,
   * go.
   */
  static MetricsLog open(Path file, long step) {
    try {
      List<JsonNode> entries = new ArrayList<>(read(file));
      entries.removeIf(entry -> entry.path("step").asLong(Long.MAX_VALUE) > step);
      StringBuilder kept = new StringBuilder();
      for (JsonNode entry : entries) {
        kept.append(JSON.writeValueAsString(entry)).append('\n');
      }
      if (Files.exists(file)) {
        AtomicFiles.write(file, kept.toString().getBytes(StandardCharsets.UTF_8));
      }
      BufferedWriter out =
          Files.newBufferedWriter(
              file, StandardCharsets.UTF_8, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
      return new MetricsLog(file, entries, out);
    } catch (IOException e) {
      throw failed(file, e);
    }
  }

  /**
   * The lines of a file, which stays as it is; without one that a killed process left unfinished.
   *
   * @return empty if there is no file
   * @throws PerformerException if it cannot be read
   */
  public static List<JsonNode> read(Path file) {
    if (!Files.exists(file)) {
      return List.of();
    }
    try {
      List<JsonNode> entries = new ArrayList<>();
      for (String line : Files.readAllLines(file, StandardCharsets.UTF_8)) {
        JsonNode entry = parse(line);
        if (entry != null) {
          entries.add(entry);
        }
      }
      return entries;
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + RunDirectory.describe(e), e);
    }
  }

  /** What is measured, and how much of the data in what time. */
  void validation(long step, Evaluation evaluation) {
    Map<String, Number> values = new LinkedHashMap<>(evaluation.measures());
    values.put("guesses", evaluation.guesses());
    values.put("sequences", evaluation.sequences());
    values.put("seconds", evaluation.seconds());
    add("validation", step, values);
  }

  /** A line of any kind. */
  void add(String kind, long step, Map<String, ?> values) {
    ObjectNode entry = JSON.createObjectNode().put("kind", kind).put("step", step);
    append(entry.setAll((ObjectNode) JSON.<JsonNode>valueToTree(values)));
  }

  /** All lines, those of earlier parts of the run included. */
  List<JsonNode> entries() {
    return List.copyOf(entries);
  }

  @Override
  public void close() {
    try {
      out.close();
    } catch (IOException e) {
      throw failed(file, e);
    }
  }

  private void append(ObjectNode entry) {
    try {
      out.write(JSON.writeValueAsString(entry));
      out.write('\n');
      out.flush();
      entries.add(entry);
    } catch (IOException e) {
      throw failed(file, e);
    }
  }

  /** Null for a line that a killed process left unfinished. */
  private static JsonNode parse(String line) {
    try {
      return JSON.readTree(line);
    } catch (IOException e) {
      return null;
    }
  }

  private static PerformerException failed(Path file, IOException e) {
    return new PerformerException(
        "cannot write " + file + ": " + RunDirectory.describe(e) + "; make room and resume", e);
  }
}
