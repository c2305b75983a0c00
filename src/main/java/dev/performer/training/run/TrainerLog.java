package dev.performer.training.run;

import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.data.TfRecordFile;
import dev.performer.graph.NativeErrors;
import dev.performer.training.run.TrainingState.Interval;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.proto.Event;
import org.tensorflow.proto.SessionLog;
import org.tensorflow.proto.Summary;

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
    Map<String, Number> values = new LinkedHashMap<>(Map.of("loss", interval.loss()));
    if (!Double.isNaN(interval.accuracy())) {
      values.put("accuracy", interval.accuracy());
      values.put("perplexity", Math.exp(interval.loss()));
    }
    values.put("learningRate", rate);
    values.put("gradientNorm", interval.gradientNorm());
    values.put("tokensPerSecond", interval.tokensPerSecond());
    values.put("stepMilliseconds", 1000 * interval.secondsPerStep());
    AvailableMemory.peak().ifPresent(bytes -> values.put("peakMemoryBytes", bytes));
    add("training", step, values, values);
    double left = (steps - step) * interval.secondsPerStep();
    progress.interval(step, interval.loss(), interval.tokensPerSecond(), left);
  }

  /** Logs an evaluation. @param words the numbers, for a line of a log */
  public void validation(long step, Evaluation evaluation, String words) {
    Map<String, Number> values = new LinkedHashMap<>(evaluation.measures());
    values.put("guesses", evaluation.guesses());
    values.put("sequences", evaluation.sequences());
    values.put("seconds", evaluation.seconds());
    add("validation", step, values, evaluation.measures());
    progress.message("step " + step + "  " + words);
    progress.evaluation(step, evaluation);
    if (step > 0) {
      plot();
    }
  }

  public void diagnostics(long step, Map<String, Double> values) {
    add("diagnostics", step, values, values);
  }

  private void add(
      String kind, long step, Map<String, ?> values, Map<String, ? extends Number> scalars) {
    metrics.add(kind, step, values);
    events.scalars(step, kind, scalars);
  }

  /** A picture is no reason to lose a run. */
  public void plot() {
    if (!OptionalLibrary.CHARTS.isPresent()) {
      return;
    }
    try {
      var chart = RunReport.loss(metrics.entries(), plotted);
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
    try (metrics;
        events) {}
  }

  /**
   * A file of scalars that TensorBoard reads: {@code Event} protos as TFRecords. Each part of a
   * resumed run has a file of its own, which begins by taking back what an earlier one wrote of the
   * steps that are done again.
   */
  private static final class EventFile implements AutoCloseable {
    private final Path file;
    private final OutputStream out;

    EventFile(Path directory, long step) {
      long now = System.currentTimeMillis();
      String name = "events.out.tfevents.%010d.performer.%d".formatted(now / 1000, now % 1000);
      while (Files.exists(directory.resolve(name))) {
        name += "x";
      }
      file = directory.resolve(name);
      try {
        out = Files.newOutputStream(file, StandardOpenOption.CREATE_NEW);
      } catch (IOException e) {
        throw RunDirectory.unwritable(file, e);
      }
      append(Event.newBuilder().setFileVersion("brain.Event:2"));
      if (step >= 0) {
        var start = SessionLog.newBuilder().setStatus(SessionLog.SessionStatus.START);
        append(Event.newBuilder().setStep(step + 1).setSessionLog(start));
      }
    }

    void scalars(long step, String group, Map<String, ? extends Number> values) {
      Summary.Builder summary = Summary.newBuilder();
      values.forEach(
          (name, value) -> {
            String tag = group + "/" + name;
            summary.addValueBuilder().setTag(tag).setSimpleValue(value.floatValue());
          });
      append(Event.newBuilder().setStep(step).setSummary(summary));
    }

    private void append(Event.Builder event) {
      byte[] data = event.setWallTime(System.currentTimeMillis() / 1000.0).build().toByteArray();
      try {
        out.write(TfRecordFile.framed(data));
      } catch (IOException e) {
        throw RunDirectory.unwritable(file, e);
      }
    }

    @Override
    public void close() {
      try {
        out.close();
      } catch (IOException e) {
        throw RunDirectory.unwritable(file, e);
      }
    }
  }
}
