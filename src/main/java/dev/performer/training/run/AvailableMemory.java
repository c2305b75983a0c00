package dev.performer.training.run;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/**
 * How much memory a Linux process may still take: what the machine has to spare, or the rest of a
 * container's limit (control groups, version 1 or 2) where that is less. Empty where not known.
 *
 * @param root of the file system, {@code /} but for tests
 */
public record AvailableMemory(Path root) {
  private static final BigInteger LARGEST = BigInteger.valueOf(Long.MAX_VALUE);

  /** Files of a version of control groups. */
  private record Version(String mount, String limit, String usage, String cached) {
    static final Version ONE =
        new Version(
            "sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file ");
    static final Version TWO =
        new Version("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ");
  }

  /** Of this process. */
  public static OptionalLong bytes() {
    return new AvailableMemory(Path.of("/")).least();
  }

  /** The most memory that this process has had, in bytes. */
  public static OptionalLong peak() {
    return kilobytes("VmHWM:", Path.of("/proc/self/status"));
  }

  /** The memory that this process has now, in bytes. */
  public static OptionalLong resident() {
    return kilobytes("VmRSS:", Path.of("/proc/self/status"));
  }

  /** The memory that a process has now, in bytes. */
  public static OptionalLong resident(long pid) {
    return kilobytes("VmRSS:", Path.of("/proc", Long.toString(pid), "status"));
  }

  OptionalLong least() {
    var limits = LongStream.builder();
    kilobytes("MemAvailable:", root.resolve("proc/meminfo")).ifPresent(limits);
    for (String line : lines(root.resolve("proc/self/cgroup"))) {
      String[] parts = line.split(":", 3); // number:controllers:path
      if (parts.length == 3 && parts[1].isEmpty()) {
        ofGroup(Version.TWO, parts[2]).forEach(limits);
      } else if (parts.length == 3 && List.of(parts[1].split(",")).contains("memory")) {
        ofGroup(Version.ONE, parts[2]).forEach(limits);
      }
    }
    return limits.build().min();
  }

  /** What a group and those around it leave; inside a container its path may not be visible. */
  private LongStream ofGroup(Version version, String path) {
    Path mount = root.resolve(version.mount).normalize();
    Path group = mount.resolve(path.replaceFirst("^/+", "")).normalize();
    Path inner = group.startsWith(mount) ? group : mount;
    return Stream.iterate(inner, g -> g != null && g.startsWith(mount), Path::getParent)
        .flatMapToLong(g -> left(version, g).stream());
  }

  private static OptionalLong left(Version version, Path group) {
    OptionalLong limit = number(group.resolve(version.limit), ""); // "max" is none
    OptionalLong usage = number(group.resolve(version.usage), "");
    // Cached files give way.
    long cached = number(group.resolve("memory.stat"), version.cached).orElse(0);
    return limit.isEmpty() || usage.isEmpty()
        ? OptionalLong.empty()
        : OptionalLong.of(Math.max(0, limit.getAsLong() - usage.getAsLong() + cached));
  }

  private static OptionalLong kilobytes(String key, Path file) {
    return number(file, key).stream().map(n -> 1024 * n).findFirst();
  }

  /** The number behind a key, in the first line that begins with it. */
  private static OptionalLong number(Path file, String key) {
    return lines(file).stream()
        .filter(line -> line.startsWith(key))
        .map(line -> line.substring(key.length()).replace("kB", "").strip())
        .limit(1)
        .filter(number -> number.matches("\\d{1,19}"))
        .mapToLong(number -> new BigInteger(number).min(LARGEST).longValue())
        .findFirst();
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      return List.of(); // not this system, or not ours to read
    }
  }
}
