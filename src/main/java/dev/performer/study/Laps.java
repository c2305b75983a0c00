package dev.performer.study;

import com.sun.management.OperatingSystemMXBean;
import dev.performer.training.run.AvailableMemory;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Runs the work of an open case in rounds. */
final class Laps {
  private static final int WARM_UP = 3;
  private static final double LONG_SECONDS = 3;
  private static final double ENOUGH_SECONDS = 0.06;
  private static final int MOST_RUNS = 40;
  private static final double TICK_MS = 10; // of the time of processes that are over
  private static final int FAULTS = 10;
  private static final int CHILD_FAULTS = 11;
  private static final int CHILD_USER = 16;
  private static final int CHILD_SYSTEM = 17;

  private Laps() {}

  /** By name, the most memory above the idle process in MB, seen when it had run first. */
  record Opened(Map<String, Double> peakMb) {}

  /** Runs in one round: the milliseconds of each, and of one on average the rest. */
  record Lap(List<Double> ms, double cpuMs, double faults) {}

  /** Plans the graphs. */
  static Opened warmUp(InTurns.Open open) {
    double idle = AvailableMemory.resident().orElse(0) / 1e6;
    Map<String, Double> peaks = new LinkedHashMap<>();
    open.work()
        .forEach(
            (name, work) -> {
              double spent = 0;
              for (int run = 0; run < WARM_UP && spent < LONG_SECONDS; run++) {
                long start = System.nanoTime();
                work.run();
                spent += (System.nanoTime() - start) / 1e9;
              }
              peaks.put(name, AvailableMemory.peak().orElse(0) / 1e6 - idle);
            });
    return new Opened(peaks);
  }

  /** One after the other, without others in between. */
  static List<Map<String, Lap>> rounds(InTurns.Open open, Rounds rounds) {
    List<Map<String, Lap>> all = new ArrayList<>();
    long start = System.nanoTime();
    while (rounds.goesOn(all.size(), (System.nanoTime() - start) / 1e9)) {
      all.add(round(open));
    }
    return all;
  }

  /** Each once, or for a short while. */
  static Map<String, Lap> round(InTurns.Open open) {
    Map<String, Lap> laps = new LinkedHashMap<>();
    open.work().forEach((name, work) -> laps.put(name, lap(work)));
    return laps;
  }

  private static Lap lap(InTurns.Work work) {
    List<Double> ms = new ArrayList<>();
    long faults = faults();
    double cpu = cpuMs();
    long start = System.nanoTime();
    long now = start;
    while (ms.isEmpty() || ms.size() < MOST_RUNS && now - start < ENOUGH_SECONDS * 1e9) {
      long before = now;
      work.run();
      now = System.nanoTime();
      ms.add((now - before) / 1e6);
    }
    double runs = ms.size();
    return new Lap(ms, (cpuMs() - cpu) / runs, (faults() - faults) / runs);
  }

  /** Of all threads of this process, and of the processes that it has started and that are over. */
  private static double cpuMs() {
    double children = (stat(CHILD_USER) + stat(CHILD_SYSTEM)) * TICK_MS;
    try (Stream<Path> threads = Files.list(Path.of("/proc/self/task"))) {
      double own = 0;
      for (Path thread : threads.toList()) {
        own += nanos(thread.resolve("schedstat")) / 1e6;
      }
      return own + children;
    } catch (IOException e) {
      var os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
      return os.getProcessCpuTime() / 1e6 + children;
    }
  }

  private static double nanos(Path schedstat) throws IOException {
    try {
      return Double.parseDouble(Files.readString(schedstat).split(" ")[0]);
    } catch (NoSuchFileException e) {
      return 0; // that thread has just ended
    }
  }

  /** Pages that this process, and those that it has started, touched for the first time. */
  static long faults() {
    return stat(FAULTS) + stat(CHILD_FAULTS);
  }

  /** A number of {@code /proc/self/stat}; 0 where there is no such file. */
  private static long stat(int field) {
    try {
      String stat = Files.readString(Path.of("/proc/self/stat"));
      return Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[field - 3]);
    } catch (IOException e) {
      return 0;
    }
  }
}
