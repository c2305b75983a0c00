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
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** {@code metrics.jsonl}: one object per line, each on the disk as soon as it is known. */
public final class MetricsLog implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private final List<JsonNode> entries;
  private final BufferedWriter out;

  /** Opens the log of a run; lines after a step go: that part of the run is done again. */
  MetricsLog(Path file, long step) {
    this.file = file;
    entries = new ArrayList<>(read(file));
    entries.removeIf(entry -> entry.path("step").asLong(Long.MAX_VALUE) > step);
    try {
      if (Files.exists(file)) {
        String kept = entries.stream().map(entry -> entry + "\n").collect(Collectors.joining());
        AtomicFiles.write(file, kept.getBytes(StandardCharsets.UTF_8));
      }
      out = Files.newBufferedWriter(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    } catch (IOException e) {
      throw RunDirectory.unwritable(file, e);
    }
  }

  /** The lines of a file, if there is one, without what a killed process left unfinished. */
  public static List<JsonNode> read(Path file) {
    try {
      var lines = Files.exists(file) ? Files.readAllLines(file) : List.<String>of();
      return lines.stream().flatMap(MetricsLog::parse).toList();
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + RunDirectory.describe(e), e);
    }
  }

  private static Stream<JsonNode> parse(String line) {
    try {
      return Stream.of(JSON.readTree(line));
    } catch (IOException e) {
      return Stream.empty();
    }
  }

  void add(String kind, long step, Map<String, ?> values) {
    ObjectNode entry = JSON.createObjectNode().put("kind", kind).put("step", step);
    entry.setAll((ObjectNode) JSON.<JsonNode>valueToTree(values));
    try {
      out.write(entry + "\n");
      out.flush();
      entries.add(entry);
    } catch (IOException e) {
      throw RunDirectory.unwritable(file, e);
    }
  }

  /** Those of earlier parts of the run included. */
  List<JsonNode> entries() {
    return List.copyOf(entries);
  }

  @Override
  public void close() {
    try {
      out.close();
    } catch (IOException e) {
      throw RunDirectory.unwritable(file, e);
    }
  }
}
