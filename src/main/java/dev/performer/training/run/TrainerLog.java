package dev.performer.training.run;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.data.TfRecordFile;
import dev.performer.graph.NativeErrors;
import dev.performer.training.run.Checkpoint.Interval;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.tensorflow.proto.Event;
import org.tensorflow.proto.SessionLog;
import org.tensorflow.proto.Summary;

/**
 * Where numbers go while a run trains, each as soon as it is known: to {@code metrics.jsonl}, an
 * object per line; to a file of scalars that TensorBoard reads, {@code Event} protos as TFRecords;
 * to plots and whoever watches. Each part of a resumed run has an event file of its own, which
 * begins by taking back what an earlier one wrote of the steps that are done again.
 */
public final class TrainerLog implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final RunDirectory run;
  private final long steps;
  private final String plotted;
  private final Progress progress;
  private final List<JsonNode> entries; // of metrics, those of earlier parts of the run included
  private final Appended metrics;
  private final Appended events;

  /** Opens the files; what they hold after a step goes. @param plotted measure beside the loss */
  public TrainerLog(RunDirectory run, long steps, String plotted, Progress progress, long step) {
    this.run = run;
    this.steps = steps;
    this.plotted = plotted;
    this.progress = progress;
    Path file = run.root().resolve("metrics.jsonl");
    entries = new ArrayList<>(read(file));
    entries.removeIf(entry -> entry.path("step").asLong(Long.MAX_VALUE) > step);
    try {
      if (Files.exists(file)) {
        String kept = entries.stream().map(entry -> entry + "\n").collect(Collectors.joining());
        AtomicFiles.write(file, kept.getBytes(UTF_8));
      }
    } catch (IOException e) {
      throw RunDirectory.unwritable(file, e);
    }
    metrics = new Appended(file, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    try {
      events = events(run.root(), step);
    } catch (RuntimeException e) {
      metrics.close();
      throw e;
    }
  }

  private static Appended events(Path directory, long step) {
    long now = System.currentTimeMillis();
    String name = "events.out.tfevents.%010d.performer.%d".formatted(now / 1000, now % 1000);
    while (Files.exists(directory.resolve(name))) {
      name += "x";
    }
    Appended file = new Appended(directory.resolve(name), StandardOpenOption.CREATE_NEW);
    file.add(record(Event.newBuilder().setFileVersion("brain.Event:2")));
    if (step >= 0) {
      var start = SessionLog.newBuilder().setStatus(SessionLog.SessionStatus.START);
      file.add(record(Event.newBuilder().setStep(step + 1).setSessionLog(start)));
    }
    return file;
  }

  private static byte[] record(Event.Builder event) {
    event.setWallTime(System.currentTimeMillis() / 1000.0);
    return TfRecordFile.framed(event.build().toByteArray());
  }

  /** The metrics of a file, if there is one, without what a killed process left unfinished. */
  public static List<JsonNode> read(Path file) {
    try {
      var lines = Files.exists(file) ? Files.readAllLines(file) : List.<String>of();
      return lines.stream().flatMap(TrainerLog::parse).toList();
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + RunDirectory.describe(e), e);
    }
  }

  private static Stream<JsonNode> parse(String line) {
    try {
      return Stream.of(JSON.readTree(line));
    } catch (IOException e) {
      return Stream.empty();
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
    ObjectNode entry = JSON.createObjectNode().put("kind", kind).put("step", step);
    entry.setAll((ObjectNode) JSON.<JsonNode>valueToTree(values));
    metrics.add((entry + "\n").getBytes(UTF_8));
    entries.add(entry);
    Summary.Builder summary = Summary.newBuilder();
    scalars.forEach(
        (name, value) -> {
          String tag = kind + "/" + name;
          summary.addValueBuilder().setTag(tag).setSimpleValue(value.floatValue());
        });
    events.add(record(Event.newBuilder().setStep(step).setSummary(summary)));
  }

  /** A picture is no reason to lose a run. */
  public void plot() {
    if (!OptionalLibrary.CHARTS.isPresent()) {
      return;
    }
    try {
      var chart = RunReport.loss(entries, plotted);
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
      RunReport.write(run.root(), entries, result);
    } catch (RuntimeException | LinkageError | InternalError e) {
      progress.message("no report.md: " + NativeErrors.firstLine(e));
    }
  }

  @Override
  public void close() {
    try (metrics;
        events) {}
  }

  /** A file that is written from its end on, unbuffered. */
  private static final class Appended implements AutoCloseable {
    private final Path file;
    private final OutputStream out;

    Appended(Path file, OpenOption... options) {
      this.file = file;
      try {
        out = Files.newOutputStream(file, options);
      } catch (IOException e) {
        throw RunDirectory.unwritable(file, e);
      }
    }

    void add(byte[] bytes) {
      try {
        out.write(bytes);
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
