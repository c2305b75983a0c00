package dev.performer.training.run;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;

/**
 * How much memory a Linux process may still take: what the machine has to spare, or the rest of a
 * container's limit (control groups, version 1 or 2) where that is less.
 *
 * @param root of the file system, {@code /} but for tests
 */
public record AvailableMemory(Path root) {
  private static final BigInteger LARGEST = BigInteger.valueOf(Long.MAX_VALUE);

  /** Files of a version of control groups. */
  private enum Version {
    ONE("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    TWO("sys/fs/cgroup", "memory.max", "memory.current", "");

    final String mount;
    final String limit;
    final String usage;
    final String prefix;

    Version(String mount, String limit, String usage, String prefix) {
      this.mount = mount;
      this.limit = limit;
      this.usage = usage;
      this.prefix = prefix;
    }
  }

  /** Of this process. */
  public static OptionalLong bytes() {
    return new AvailableMemory(Path.of("/")).least();
  }

  /** In bytes; empty where it is not known. */
  OptionalLong least() {
    OptionalLong least = TrainerLog.status("MemAvailable:", root.resolve("proc/meminfo"));
    for (String line : lines(root.resolve("proc/self/cgroup"))) {
      String[] parts = line.split(":", 3); // number:controllers:path
      if (parts.length == 3 && parts[1].isEmpty()) {
        least = lesser(least, ofGroup(Version.TWO, parts[2]));
      } else if (parts.length == 3 && List.of(parts[1].split(",")).contains("memory")) {
        least = lesser(least, ofGroup(Version.ONE, parts[2]));
      }
    }
    return least;
  }

  /** The least of a group and those around it; inside a container its path may not be visible. */
  private OptionalLong ofGroup(Version version, String path) {
    Path mount = root.resolve(version.mount).normalize();
    Path group = mount.resolve(path.replaceFirst("^/+", "")).normalize();
    OptionalLong least = OptionalLong.empty();
    for (Path g = group.startsWith(mount) ? group : mount;
        g != null && g.startsWith(mount);
        g = g.getParent()) {
      least = lesser(least, left(version, g));
    }
    return least;
  }

  private static OptionalLong left(Version version, Path group) {
    OptionalLong limit = number(group.resolve(version.limit)); // "max" is none
    OptionalLong usage = number(group.resolve(version.usage));
    if (limit.isEmpty() || usage.isEmpty()) {
      return OptionalLong.empty();
    }
    // Cached files give way.
    String key = version.prefix + "inactive_file ";
    long cached =
        lines(group.resolve("memory.stat")).stream()
            .filter(line -> line.startsWith(key))
            .mapToLong(line -> number(line.substring(key.length())).orElse(0))
            .findFirst()
            .orElse(0);
    return OptionalLong.of(Math.max(0, limit.getAsLong() - usage.getAsLong() + cached));
  }

  private static OptionalLong lesser(OptionalLong a, OptionalLong b) {
    if (a.isEmpty() || b.isEmpty()) {
      return a.isEmpty() ? b : a;
    }
    return OptionalLong.of(Math.min(a.getAsLong(), b.getAsLong()));
  }

  private static OptionalLong number(Path file) {
    List<String> lines = lines(file);
    return lines.isEmpty() ? OptionalLong.empty() : number(lines.get(0));
  }

  private static OptionalLong number(String text) {
    return text.strip().matches("\\d{1,19}")
        ? OptionalLong.of(new BigInteger(text.strip()).min(LARGEST).longValue())
        : OptionalLong.empty();
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file, StandardCharsets.UTF_8);
    } catch (IOException e) {
      return List.of(); // not this system, or not ours to read
    }
  }
}
