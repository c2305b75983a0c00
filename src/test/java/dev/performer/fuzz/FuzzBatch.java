package dev.performer.fuzz;

import com.sun.management.OperatingSystemMXBean;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.testing.ErrorMessages;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Some mutants in a process of their own, which may crash. Before each it writes into the folder
 * which one it is, so that the parent knows.
 */
final class FuzzBatch {
  static final int TOO_SLOW = 3;
  private static final double MOST_CPU_SECONDS = 10;
  private static final double MOST_SECONDS = 120; // for one that waits
  private static final long MOST_MEMORY = 1L << 30;
  private static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private final Path folder;
  private final List<FuzzTarget> targets;
  private volatile long started;
  private volatile long startedCpu;

  private FuzzBatch(Path folder) throws IOException {
    this.folder = folder;
    targets = FuzzTarget.all(folder.resolve("scratch"));
  }

  /**
   * @param args folder, first seed, seconds; then perhaps the name of one target and how many of
   *     its mutants
   */
  public static void main(String[] args) throws IOException {
    FuzzBatch batch = new FuzzBatch(Path.of(args[0]));
    long first = Long.parseLong(args[1]);
    long end = System.nanoTime() + (long) (1e9 * Double.parseDouble(args[2]));
    String only = args.length > 3 ? args[3] : null;
    Thread watch = new Thread(batch::watch, "watch");
    watch.setDaemon(true);
    batch.begin();
    watch.start();
    long seed = first;
    do {
      batch.run(batch.target(seed, only), seed);
      seed++;
    } while (System.nanoTime() < end);
    Files.writeString(batch.folder.resolve("next"), Long.toString(seed));
    System.exit(0); // whatever threads a mutant has left behind
  }

  private FuzzTarget target(long seed, String only) {
    return targets.stream()
        .filter(target -> target.name().equals(only))
        .findFirst()
        .orElseGet(() -> targets.get((int) Math.floorMod(seed, targets.size())));
  }

  private void begin() {
    started = System.nanoTime();
    startedCpu = SYSTEM.getProcessCpuTime();
  }

  private void run(FuzzTarget target, long seed) throws IOException {
    Path place = folder.resolve("case");
    AtomicFiles.delete(place);
    Files.createDirectories(place);
    Path file = target.write(place, new SplittableRandom(seed));
    Files.writeString(folder.resolve("current"), target.name() + " " + seed);
    resetPeak();
    begin();
    String fault = fault(target, file);
    long peak = peak();
    if (fault == null && peak > MOST_MEMORY) {
      fault = "took " + (peak >> 20) + " MB of memory";
    }
    begin();
    if (fault != null) {
      Fuzz.keep(folder, fault);
    }
  }

  private static String fault(FuzzTarget target, Path file) {
    try {
      target.reader().read(file);
      return null;
    } catch (PerformerException e) {
      String fault = ErrorMessages.fault(e.getMessage(), file.getParent().toString());
      return fault == null ? null : fault + ": " + trace(e);
    } catch (Throwable e) {
      return trace(e);
    }
  }

  private static String trace(Throwable e) {
    StringWriter text = new StringWriter();
    e.printStackTrace(new PrintWriter(text));
    return text.toString();
  }

  private void watch() {
    while (true) {
      double cpu = (SYSTEM.getProcessCpuTime() - startedCpu) / 1e9;
      double seconds = (System.nanoTime() - started) / 1e9;
      if (cpu > MOST_CPU_SECONDS || seconds > MOST_SECONDS) {
        try {
          Fuzz.keep(folder, "took %.0f s, %.0f s of them on the CPU".formatted(seconds, cpu));
        } catch (IOException e) {
          e.printStackTrace();
        }
        Runtime.getRuntime().halt(TOO_SLOW);
      }
      try {
        Thread.sleep(200);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  /** Linux forgets the peak of resident memory when asked to. */
  private static void resetPeak() {
    try {
      Files.writeString(Path.of("/proc/self/clear_refs"), "5");
    } catch (IOException e) {
      // Elsewhere memory is not measured.
    }
  }

  private static long peak() {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
        if (line.startsWith("VmHWM:")) {
          return Long.parseLong(line.replaceAll("\\D", "")) << 10;
        }
      }
    } catch (IOException e) {
      // as above
    }
    return 0;
  }
}
