package dev.performer.training.run;

import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.chart.Chart;
import dev.performer.graph.NativeErrors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;

/** Where numbers go while a run trains: metrics.jsonl, TensorBoard, plots and whoever watches. */
public final class TrainerLog implements AutoCloseable {
  private final RunDirectory run;
  private final long steps;
  private final String plotted;
  private final Progress progress;
  private final MetricsLog metrics;
  private final EventFile events;

  private TrainerLog(
      RunDirectory run,
      long steps,
      String plotted,
      Progress progress,
      MetricsLog metrics,
      EventFile events) {
    this.run = run;
    this.steps = steps;
    this.plotted = plotted;
    this.progress = progress;
    this.metrics = metrics;
    this.events = events;
  }

  /**
   * Opens the files; what they hold after a step goes.
   *
   * @param steps of the whole run
   * @param plotted the measure that is drawn beside the training loss
   */
  public static TrainerLog open(
      RunDirectory run, long steps, String plotted, Progress progress, long step) {
    MetricsLog metrics = MetricsLog.open(run.metrics(), step);
    try {
      return new TrainerLog(
          run, steps, plotted, progress, metrics, EventFile.create(run.root(), step));
    } catch (RuntimeException e) {
      metrics.close();
      throw e;
    }
  }

  public void training(long step, Interval interval, double rate) {
    Map<String, Number> values = new LinkedHashMap<>();
    values.put("loss", interval.loss());
    if (!Double.isNaN(interval.accuracy())) {
      values.put("accuracy", interval.accuracy());
      values.put("perplexity", Math.exp(interval.loss()));
    }
    values.put("learningRate", rate);
    values.put("gradientNorm", interval.gradientNorm());
    values.put("tokensPerSecond", interval.tokensPerSecond());
    values.put("stepMilliseconds", 1000 * interval.secondsPerStep());
    peakMemory().ifPresent(bytes -> values.put("peakMemoryBytes", bytes));
    metrics.add("training", step, values);
    events.scalars(step, "training", values);
    double left = (steps - step) * interval.secondsPerStep();
    progress.interval(step, interval.loss(), interval.tokensPerSecond(), left);
  }

  /**
   * @param words the numbers, for a line of a log
   */
  public void validation(long step, Evaluation evaluation, String words) {
    metrics.validation(step, evaluation);
    events.scalars(step, "validation", evaluation.measures());
    progress.message("step " + step + "  " + words);
    progress.evaluation(step, evaluation);
    if (step > 0) {
      plot();
    }
  }

  public void diagnostics(long step, Map<String, Double> values) {
    metrics.add("diagnostics", step, values);
    events.scalars(step, "diagnostics", values);
  }

  /** A picture is no reason to lose a run. */
  public void plot() {
    if (!OptionalLibrary.CHARTS.isPresent()) {
      return;
    }
    try {
      Chart chart = TrainingCharts.loss(metrics.entries(), plotted);
      if (!chart.isEmpty()) {
        AtomicFiles.write(run.lossPlot(), chart.png());
      }
    } catch (IOException e) {
      progress.message("no loss.png: " + AtomicFiles.describe(e));
    } catch (RuntimeException | LinkageError | InternalError e) {
      progress.message("no loss.png: " + NativeErrors.firstLine(e));
    }
  }

  /** Draws all plots and writes the report. */
  public void finish(TrainingResult result) {
    if (!OptionalLibrary.CHARTS.isPresent()) {
      progress.message("no charts: they need " + OptionalLibrary.CHARTS.artifact());
    }
    plot();
    try {
      RunReport.write(run.root(), metrics.entries(), result);
    } catch (RuntimeException | LinkageError | InternalError e) {
      progress.message("no report.md: " + NativeErrors.firstLine(e));
    }
  }

  @Override
  public void close() {
    try {
      metrics.close();
    } finally {
      events.close();
    }
  }

  /** The most memory this process has had; known on Linux only. */
  static OptionalLong peakMemory() {
    return status("VmHWM:", Path.of("/proc/self/status"));
  }

  /** A number of kilobytes in one of Linux's files, as bytes. */
  static OptionalLong status(String key, Path file) {
    try {
      return Files.readAllLines(file).stream()
          .filter(line -> line.startsWith(key))
          .mapToLong(line -> 1024 * Long.parseLong(line.replaceAll("\\D", "")))
          .findFirst();
    } catch (IOException | NumberFormatException e) {
      return OptionalLong.empty();
    }
  }
}
