package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.NamingScheme;
import dev.performer.checkpoint.WeightFile;
import dev.performer.data.JsonTokenizer;
import dev.performer.model.PerformerConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Formatter;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.LongStream;

/**
 * What is in a checkpoint: tensors, whose names they have if that is known, the model that import
 * would make of it and the tokenizer, as far as it tells, and a config beside it.
 */
public record CheckpointReport(
    Path path,
    String format,
    Optional<String> scheme,
    Optional<String> kind,
    Optional<String> unread,
    Optional<PerformerConfig> model,
    Optional<String> tokenizer,
    Optional<Config> config,
    Map<String, WeightFile.Info> tensors) {
  private static final List<String> CONFIGS = List.of("config.gin", "config.json");
  private static final long LONGEST_CONFIG = 1 << 20;

  /** A config file and its text. */
  public record Config(Path file, String text) {}

  /** A tensor in JSON. */
  private record Tensor(String name, String type, long[] shape, long bytes) {}

  /** Reads names, types and shapes; no values. */
  public static CheckpointReport of(Path path) {
    try (WeightFile file = Checkpoints.open(path)) {
      Optional<String> scheme = NamingScheme.of(file);
      Optional<String> unread = scheme.isPresent() ? Optional.empty() : NamingScheme.unread(file);
      return new CheckpointReport(
          path,
          file.format(),
          scheme,
          NamingScheme.kind(file),
          unread,
          NamingScheme.config(file),
          tokenizer(path),
          beside(path),
          new TreeMap<>(file.tensors()));
    }
  }

  private static Optional<String> tokenizer(Path path) {
    try {
      return JsonTokenizer.beside(path).map(t -> t.label() + ", " + t.size() + " tokens");
    } catch (PerformerException e) {
      return Optional.of("cannot be read: " + e.getMessage());
    }
  }

  private static Optional<Config> beside(Path path) {
    Path folder = Files.isDirectory(path) ? path : path.toAbsolutePath().getParent();
    try {
      for (String name : CONFIGS) {
        Path file = folder.resolve(name);
        if (Files.isRegularFile(file) && Files.size(file) <= LONGEST_CONFIG) {
          return Optional.of(new Config(file, Files.readString(file)));
        }
      }
    } catch (IOException e) {
      // A binary file of that name is no config.
    }
    return Optional.empty();
  }

  /** For a terminal. */
  public String text() {
    String other = unread.orElse("of no model that is known here; import needs a mapping");
    Formatter text = new Formatter(Locale.ROOT);
    text.format(
        "   format       %s%n   names        %s%n", format, scheme.map(this::named).orElse(other));
    model.ifPresent(m -> text.format("   model        %s%n", ConfigSummary.of(m)));
    tokenizer.ifPresent(t -> text.format("   tokenizer    %s%n", t));
    String sizes = "   tensors      %d, %,d elements, %,d bytes%n";
    text.format(sizes, tensors.size(), elements(), bytes());
    int widest = tensors.keySet().stream().mapToInt(String::length).max().orElse(0);
    String line = "     %-" + Math.max(1, Math.min(widest, 90)) + "s  %-9s %-18s %,d bytes%n";
    tensors.forEach(
        (name, t) -> text.format(line, name, t.type(), Arrays.toString(t.shape()), t.bytes()));
    if (config.isPresent()) {
      text.format("   %s%n", config.get().file().getFileName());
      var lines = config.get().text().lines().filter(l -> !l.isBlank() && !l.startsWith("#"));
      lines.forEach(l -> text.format("     %s%n", l));
    }
    return text.toString();
  }

  private String named(String names) {
    return names + kind.map(" (%s)"::formatted).orElse("");
  }

  /** For a program. */
  public Map<String, ?> json() {
    List<Tensor> each = new ArrayList<>();
    tensors.forEach((name, t) -> each.add(new Tensor(name, t.type(), t.shape(), t.bytes())));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("path", path.toString());
    json.put("format", format);
    json.put("scheme", scheme.orElse(null));
    json.put("kind", kind.orElse(null));
    json.put("unread", unread.orElse(null));
    json.put("model", model.map(PerformerConfig::toJson).orElse(null));
    json.put("tokenizer", tokenizer.orElse(null));
    json.put("elements", elements());
    json.put("bytes", bytes());
    json.put("tensors", each);
    json.put("config", config.map(Config::text).orElse(null));
    return json;
  }

  private long elements() {
    return tensors.values().stream()
        .mapToLong(t -> LongStream.of(t.shape()).reduce(1, (a, b) -> a * b))
        .sum();
  }

  private long bytes() {
    return tensors.values().stream().mapToLong(WeightFile.Info::bytes).sum();
  }
}
