package dev.performer.pipeline;

import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.NamingScheme;
import dev.performer.checkpoint.WeightFile;
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

/** What is in a checkpoint: tensors, whose names they have if that is known, a config beside it. */
public record CheckpointReport(
    Path path,
    String format,
    Optional<String> scheme,
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
      var tensors = new TreeMap<>(file.tensors());
      return new CheckpointReport(path, file.format(), scheme, beside(path), tensors);
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
    String names = scheme.orElse("of no model that is known here; import needs a mapping");
    Formatter text = new Formatter(Locale.ROOT);
    text.format("   format       %s%n   names        %s%n", format, names);
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

  /** For a program. */
  public Map<String, ?> json() {
    List<Tensor> each = new ArrayList<>();
    tensors.forEach((name, t) -> each.add(new Tensor(name, t.type(), t.shape(), t.bytes())));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("path", path.toString());
    json.put("format", format);
    json.put("scheme", scheme.orElse(null));
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
