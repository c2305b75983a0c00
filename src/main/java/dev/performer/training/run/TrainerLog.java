package dev.performer.training.run;

import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.graph.NativeErrors;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/** Where numbers go while a run trains: metrics.jsonl, TensorBoard, plots and whoever watches. */
public final class TrainerLog implements AutoCloseable {
  private final RunDirectory run;
  private final long steps;
  private final String plotted;
  private final Progress progress;
  private final MetricsLog metrics;
  private final EventFile events;

  /**
   * Opens the files; what they hold after a step goes.
   *
   * @param steps of the whole run
   * @param plotted the measure that is drawn beside the training loss
   */
  public TrainerLog(RunDirectory run, long steps, String plotted, Progress progress, long step) {
    this.run = run;
    this.steps = steps;
    this.plotted = plotted;
    this.progress = progress;
    metrics = new MetricsLog(run.root().resolve("metrics.jsonl"), step);
    try {
      events = new EventFile(run.root(), step);
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
    AvailableMemory.peak().ifPresent(bytes -> values.put("peakMemoryBytes", bytes));
    metrics.add("training", step, values);
    events.scalars(step, "training", values);
    double left = (steps - step) * interval.secondsPerStep();
    progress.interval(step, interval.loss(), interval.tokensPerSecond(), left);
  }

  /** Logs an evaluation. @param words the numbers, for a line of a log */
  public void validation(long step, Evaluation evaluation, String words) {
    Map<String, Number> values = new LinkedHashMap<>(evaluation.measures());
    values.put("guesses", evaluation.guesses());
    values.put("sequences", evaluation.sequences());
    values.put("seconds", evaluation.seconds());
    metrics.add("validation", step, values);
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
      var chart = TrainingCharts.loss(metrics.entries(), plotted);
      if (!chart.isEmpty()) {
        AtomicFiles.write(run.root().resolve("loss.png"), chart.png());
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
}
