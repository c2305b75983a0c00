package dev.performer.study;

import static dev.performer.PerformerException.require;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.chart.Chart;
import dev.performer.data.DataFile;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** One run of a benchmark. */
final class BenchmarkRun<C extends Benchmark.Case<C>> {
  /** Of a process with TensorFlow that has built something small. */
  private static final long PROCESS_BYTES = 400_000_000;

  private final Benchmark<C> benchmark;
  private final Path folder;
  private final Duration limit;
  private final Benchmark.Listener listener;
  private final long available =
      ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getTotalMemorySize()
          * 3
          / 4;
  private final List<String> failures = new ArrayList<>();
  private ToDoubleFunction<C> estimate;
  private double estimated;
  private double left;
  private long start;

  BenchmarkRun(Benchmark<C> benchmark, Path folder, Duration limit, Benchmark.Listener listener) {
    this.benchmark = benchmark;
    this.folder = folder;
    this.limit = limit;
    this.listener = listener;
  }

  /**
   * @param earlier what an earlier run has written, or null
   */
  Benchmark.Outcome measure(Rounds rounds, Path earlier) {
    List<C> cases = benchmark.cases();
    Comparison against = earlier == null ? null : against(earlier, cases);
    prepare(folder);
    starts(
        cases,
        c -> c.seconds() + (c instanceof InTurns<?> t ? rounds.most() * t.roundSeconds() : 0));
    var report = new BenchmarkReport<>(benchmark, against);
    Benchmark.Outcome outcome = null;
    for (List<C> group : groups(cases)) {
      List<String> lines =
          group.get(0) instanceof InTurns
              ? inTurns(group, rounds, report)
              : List.of(alone(group.get(0), report));
      outcome = write(benchmark.name(), report.table(), report.json(), report.charts());
      finished(group, lines);
    }
    return done(outcome, cases.size());
  }

  private Comparison against(Path file, List<C> cases) {
    var compared = cases.stream().filter(InTurns.class::isInstance).filter(this::fits).toList();
    String text = "benchmark %s has no cases that are compared with earlier ones";
    require(!compared.isEmpty(), text, benchmark.name());
    return Comparison.read(file, benchmark, compared);
  }

  Benchmark.Outcome profile() {
    List<C> cases = benchmark.cases().stream().filter(InTurns.class::isInstance).toList();
    String text = "benchmark %s has no work that TensorFlow traces";
    require(!cases.isEmpty(), text, benchmark.name());
    prepare(folder);
    starts(cases, c -> c.seconds() + 2 * ((InTurns<?>) c).roundSeconds());
    StringBuilder table = new StringBuilder();
    Map<String, Map<String, OpProfile>> profiles = new LinkedHashMap<>();
    Benchmark.Outcome outcome = null;
    for (C planned : cases) {
      String line = tooLarge(planned);
      if (fits(planned)) {
        line = planned.label() + ": traced";
        try (var process = TurnsProcess.open((InTurns<?>) planned, limit)) {
          var profile = process.profile();
          profiles.put(planned.label(), profile);
          table.append(OpProfile.table(planned.label(), profile)).append('\n');
        } catch (PerformerException e) {
          line = failed(e);
        }
      }
      var json = BenchmarkReport.head(benchmark);
      json.set("profiles", StrictJson.tree(profiles));
      outcome = write(benchmark.name() + "-profile", table.toString(), json, List.of());
      finished(List.of(planned), List.of(line));
    }
    return done(outcome, cases.size());
  }

  private void starts(List<C> cases, ToDoubleFunction<C> seconds) {
    estimate = c -> fits(c) ? seconds.applyAsDouble(c) : 0;
    left = cases.stream().mapToDouble(estimate).sum();
    listener.starts(cases.size(), duration(left));
    start = System.nanoTime();
  }

  private void finished(List<C> group, List<String> lines) {
    double seconds = group.stream().mapToDouble(estimate).sum();
    estimated += seconds;
    left -= seconds;
    double pace = estimated == 0 ? 1 : (System.nanoTime() - start) / 1e9 / estimated;
    lines.forEach(line -> listener.measured(line, duration(left * pace)));
  }

  private Benchmark.Outcome done(Benchmark.Outcome outcome, int cases) {
    if (!failures.isEmpty()) {
      throw new PerformerException(
          failures.size() + " of " + cases + " measurements failed; " + failures.get(0));
    }
    return outcome;
  }

  private String failed(PerformerException e) {
    if (Thread.currentThread().isInterrupted()) {
      throw e;
    }
    failures.add(e.getMessage());
    return e.getMessage();
  }

  private static String tooLarge(Benchmark.Case<?> planned) {
    return planned.label() + ": skipped, as it needs more memory than there is";
  }

  private String alone(C planned, BenchmarkReport<C> report) {
    C row = planned;
    String line = tooLarge(planned);
    if (fits(planned)) {
      try {
        row = MeasuringProcess.measure(planned, limit);
        line = row.line();
      } catch (PerformerException e) {
        line = failed(e);
      }
    }
    report.add(row);
    return line;
  }

  /** Neighbours of one group, as many as the memory holds at a time; the others alone. */
  private List<List<C>> groups(List<C> cases) {
    List<List<C>> groups = new ArrayList<>();
    String last = null;
    long bytes = 0;
    for (C next : cases) {
      String group = next instanceof InTurns<?> t ? t.group() : null;
      long more = PROCESS_BYTES + next.leastBytes();
      boolean isFull = fits(next) && bytes + more > available;
      if (group == null || !group.equals(last) || isFull) {
        groups.add(new ArrayList<>());
        bytes = 2 * PROCESS_BYTES; // the machine's peak
      }
      groups.get(groups.size() - 1).add(next);
      bytes += fits(next) ? more : 0;
      last = group;
    }
    return groups;
  }

  /** A line for each. */
  private List<String> inTurns(List<C> group, Rounds rounds, BenchmarkReport<C> report) {
    MachinePeak machine = MachinePeak.of(((InTurns<?>) group.get(0)).group());
    List<InTurns<?>> fit = new ArrayList<>(List.of(machine));
    group.stream().filter(this::fits).forEach(c -> fit.add((InTurns<?>) c));
    Turns turns = fit.size() == 1 ? new Turns(Map.of(), Map.of()) : Turns.take(fit, limit, rounds);
    if (turns.timings().containsKey(machine)) {
      report.add(machine.with(turns.timings().get(machine)));
    } else if (turns.failures().size() == 1) { // where others failed, too, they say why
      failed(turns.failures().values().iterator().next());
    }
    List<String> lines = new ArrayList<>();
    for (C planned : group) {
      var timings = turns.timings().get((InTurns<?>) planned);
      var failure = turns.failures().get((InTurns<?>) planned);
      @SuppressWarnings("unchecked") // a case is one of its own kind
      C row = timings == null ? planned : ((InTurns<C>) planned).with(timings);
      report.add(row, (InTurns<?>) planned, timings);
      lines.add(
          timings != null ? row.line() : failure != null ? failed(failure) : tooLarge(planned));
    }
    return lines;
  }

  private boolean fits(C planned) {
    return planned.leastBytes() <= available;
  }

  private Benchmark.Outcome write(String name, String table, ObjectNode json, List<Chart> charts) {
    List<Path> files = new ArrayList<>();
    files.add(write(name + ".json", (json.toPrettyString() + "\n").getBytes(UTF_8)));
    files.add(write(name + ".md", table.getBytes(UTF_8)));
    if (OptionalLibrary.CHARTS.isPresent() && charts.stream().anyMatch(c -> !c.isEmpty())) {
      files.add(write(name + ".png", Chart.png(charts)));
    }
    return new Benchmark.Outcome(table, json, files);
  }

  private Path write(String name, byte[] content) {
    Path file = folder.resolve(name);
    DataFile.write(file, out -> out.write(content));
    return file;
  }

  /** Before minutes of measuring, not after. */
  private static void prepare(Path folder) {
    try {
      Files.createDirectories(folder);
      if (!Files.isWritable(folder)) {
        throw new AccessDeniedException(folder.toString());
      }
    } catch (IOException e) {
      String text = "%s: cannot be written to (%s); choose another output folder";
      throw new PerformerException(text.formatted(folder, AtomicFiles.describe(e)), e);
    }
  }

  private static Duration duration(double seconds) {
    return Duration.ofMillis((long) (1e3 * Math.max(0, seconds)));
  }
}
