package dev.performer.pipeline;

import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.NamingScheme;
import dev.performer.checkpoint.NamingSchemes;
import dev.performer.checkpoint.WeightFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What is in a checkpoint.
 *
 * @param path what was opened
 * @param format its format
 * @param scheme whose names its tensors have, if that is known
 * @param config the text of the config beside it, if there is one
 * @param tensors in the order of their names
 */
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
  record Tensor(String name, String type, long[] shape, long bytes) {
    static Tensor of(Map.Entry<String, WeightFile.Info> entry) {
      WeightFile.Info info = entry.getValue();
      return new Tensor(entry.getKey(), info.type(), info.shape(), info.bytes());
    }
  }

  /** Reads names, types and shapes; no values. */
  public static CheckpointReport of(Path path) {
    try (WeightFile file = Checkpoints.open(path)) {
      return new CheckpointReport(
          path,
          file.format(),
          NamingSchemes.of(file).map(NamingScheme::label),
          beside(path),
          new TreeMap<>(file.tensors()));
    }
  }

  private static Optional<Config> beside(Path path) {
    Path folder = Files.isDirectory(path) ? path : path.toAbsolutePath().getParent();
    for (String name : CONFIGS) {
      Path file = folder.resolve(name);
      try {
        if (Files.isRegularFile(file) && Files.size(file) <= LONGEST_CONFIG) {
          return Optional.of(new Config(file, Files.readString(file, StandardCharsets.UTF_8)));
        }
      } catch (IOException e) {
        return Optional.empty(); // A binary file of that name is no config.
      }
    }
    return Optional.empty();
  }

  public String text() {
    StringBuilder text = new StringBuilder();
    String names = scheme.orElse("of no model that is known here; import needs a mapping");
    text.append("   format       %s%n   names        %s%n".formatted(format, names));
    String sizes = "   tensors      %d, %,d elements, %,d bytes%n";
    text.append(String.format(Locale.ROOT, sizes, tensors.size(), elements(), bytes()));
    int widest = tensors.keySet().stream().mapToInt(String::length).max().orElse(0);
    String line = "     %-" + Math.max(1, Math.min(widest, 90)) + "s  %-9s %-18s %,d bytes%n";
    tensors.forEach(
        (name, info) -> {
          String shape = Arrays.toString(info.shape());
          text.append(String.format(Locale.ROOT, line, name, info.type(), shape, info.bytes()));
        });
    config.ifPresent(
        c -> {
          text.append("   ").append(c.file().getFileName()).append('\n');
          c.text()
              .lines()
              .filter(l -> !l.isBlank() && !l.startsWith("#"))
              .forEach(l -> text.append("     ").append(l).append('\n'));
        });
    return text.toString();
  }

  public Map<String, ?> json() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("path", path.toString());
    json.put("format", format);
    json.put("scheme", scheme.orElse(null));
    json.put("elements", elements());
    json.put("bytes", bytes());
    json.put("tensors", tensors.entrySet().stream().map(Tensor::of).toList());
    json.put("config", config.map(Config::text).orElse(null));
    return json;
  }

  private long elements() {
    return tensors.values().stream()
        .mapToLong(info -> Arrays.stream(info.shape()).reduce(1, (a, b) -> a * b))
        .sum();
  }

  private long bytes() {
    return tensors.values().stream().mapToLong(WeightFile.Info::bytes).sum();
  }
}
