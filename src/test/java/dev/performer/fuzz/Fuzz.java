package dev.performer.fuzz;

import dev.performer.AtomicFiles;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Feeds damaged files to all readers for some time, in processes that may crash: {@code Fuzz FOLDER
 * SECONDS [SEED [TARGET]]}. Whatever fails is kept in FOLDER/failures with its seed; {@code Fuzz
 * FOLDER 0 SEED TARGET} makes and reads that one again.
 */
public final class Fuzz {
  private static final int BATCH_SECONDS = 30;

  private Fuzz() {}

  /** Exits with 1 if anything failed. */
  public static void main(String[] args) throws IOException, InterruptedException {
    Path folder = Path.of(args[0]).toAbsolutePath();
    Files.createDirectories(folder);
    AtomicFiles.delete(folder.resolve("failures"));
    double seconds = Double.parseDouble(args[1]);
    long first = args.length > 2 ? Long.parseLong(args[2]) : 1;
    long end = System.nanoTime() + (long) (seconds * 1e9);
    long seed = first;
    do {
      double left = (end - System.nanoTime()) / 1e9;
      seed = batch(folder, seed, Math.min(BATCH_SECONDS, left), args.length > 3 ? args[3] : null);
    } while (System.nanoTime() < end);
    List<Path> failures = failures(folder);
    System.out.printf("%d mutants, %d failures%n", seed - first, failures.size());
    failures.forEach(failure -> System.out.println("  " + failure));
    System.exit(failures.isEmpty() ? 0 : 1);
  }

  /** Runs one process. @return the seed that comes next */
  private static long batch(Path folder, long seed, double seconds, String only)
      throws IOException, InterruptedException {
    Path next = folder.resolve("next");
    Path current = folder.resolve("current");
    Files.deleteIfExists(next);
    Files.deleteIfExists(current);
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx320m", "-XX:+UseSerialGC", "-XX:-CreateCoredumpOnCrash"));
    command.add("-XX:ErrorFile=" + folder.resolve("hs_err.log"));
    Path temporary = folder.resolve("tmp"); // a process that is stopped leaves things there
    AtomicFiles.delete(temporary);
    command.add("-Djava.io.tmpdir=" + Files.createDirectories(temporary));
    command.addAll(
        List.of("-Djava.awt.headless=true", "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0"));
    command.addAll(
        List.of("-cp", System.getProperty("java.class.path"), FuzzBatch.class.getName()));
    command.addAll(List.of(folder.toString(), Long.toString(seed), Double.toString(seconds)));
    if (only != null) {
      command.add(only);
    }
    Path log = folder.resolve("log");
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    if (!process.waitFor(30, TimeUnit.MINUTES)) {
      process.destroyForcibly();
    }
    int code = process.waitFor();
    if (code == 0 && Files.exists(next)) {
      return Long.parseLong(Files.readString(next));
    }
    if (!Files.exists(current)) {
      throw new IllegalStateException("no mutant was made: " + Files.readString(log));
    }
    if (code != FuzzBatch.TOO_SLOW) {
      String tail = Files.readString(log);
      tail = tail.substring(Math.max(0, tail.length() - 3000));
      keep(folder, "the process ended with exit code " + code + "\n" + tail);
    }
    return Long.parseLong(Files.readString(current).split(" ")[1]) + 1;
  }

  /** Puts the mutant that is being read, and what is wrong, where a person finds it. */
  static void keep(Path folder, String fault) throws IOException {
    String[] which = Files.readString(folder.resolve("current")).split(" ");
    Path kept = folder.resolve("failures").resolve(which[0] + "-" + which[1]);
    AtomicFiles.delete(kept);
    Files.createDirectories(kept.getParent());
    ReferenceModels.copy(folder.resolve("case"), kept);
    Files.writeString(
        kept.resolve("report.txt"),
        "%s%nAgain: ci/fuzz.sh 0 %s %s%n".formatted(fault, which[1], which[0]));
  }

  private static List<Path> failures(Path folder) throws IOException {
    if (!Files.exists(folder.resolve("failures"))) {
      return List.of();
    }
    try (var all = Files.list(folder.resolve("failures"))) {
      return all.sorted().toList();
    }
  }
}
