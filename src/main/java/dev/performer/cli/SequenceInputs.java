package dev.performer.cli;

import static dev.performer.cli.PerformerCommand.requireUsage;

import dev.performer.data.DataFile;
import dev.performer.data.Npz;
import dev.performer.data.RowFormat;
import dev.performer.data.RowSource;
import dev.performer.pipeline.BatchJob;
import dev.performer.pipeline.BatchProgress;
import dev.performer.pipeline.RowModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The rows that a command works on, how they run, and where the results go. */
final class SequenceInputs {
  private static final BatchJob.Options USUAL = BatchJob.Options.DEFAULT;

  @Mixin private SharedOptions.Sequences given;

  @Option(
      names = "--keep-columns",
      split = ",",
      paramLabel = "NAME",
      description = "Columns of a table that stand beside the results.")
  private List<String> kept = List.of();

  @Option(names = "--batch", paramLabel = "N", description = "Sequences that run together at most.")
  Integer batch;

  @Option(
      names = "--batch-tokens",
      description = "Tokens that run together at most, padding included.")
  private int batchTokens = USUAL.batchTokens();

  @Option(
      names = "--window",
      description =
          "Rows that are read, sorted by length and written together at most; what an interrupted run loses.")
  private int window = USUAL.window();

  @Option(names = "--resume", description = "Go on where a run of the same command ended early.")
  private boolean resume;

  @Option(
      names = "--skip-bad",
      description = "Leave rows out that cannot be used, and list them in OUTPUT.skipped.csv.")
  private boolean skipBad;

  /** Checks what a user may have mistyped, before anything runs; names of others are .npz. */
  void requireSound(Path target, boolean isNamed) {
    boolean isSound = (given.length == null || given.length >= 1) && (batch == null || batch >= 1);
    requireUsage(isSound, "--length and --batch must be at least 1");
    boolean isWindow = batchTokens >= 1 && window >= 1;
    requireUsage(isWindow, "--batch-tokens and --window must be at least 1");
    requireUsage(!resume || target != null, "--resume needs --output");
    boolean isKnown = target == null || !isNamed || RowFormat.isWritten(target);
    String unknown =
        "--output is written as .npz, .csv, .tsv or .parquet; give a name that ends so, not %s";
    requireUsage(isKnown, unknown, target);
    given.inputs.stream()
        .filter(place -> Files.exists(place) || !place.toString().matches(".*[*?\\[{].*"))
        .forEach(DataFile::require);
  }

  /** Files, folders and patterns. */
  List<Path> inputs() {
    return given.inputs;
  }

  /** Whether token ids come, not texts. */
  boolean isIds() {
    return RowSource.isIds(given.inputs, columns());
  }

  /** Whether an option is given that is for rows alone. */
  boolean isOfRows() {
    return given.inputs.size() > 1 || resume || skipBad || batch != null || !kept.isEmpty();
  }

  private RowSource.Columns columns() {
    return given.columns(kept);
  }

  /** The job; stderr gets the notes on the model. */
  BatchJob job(RowModel rows, Path target) {
    BatchJob job = BatchJob.of(rows, given.inputs, columns()).withOutput(target);
    if (rows.input() != null) {
      rows.input().notes().forEach(System.err::println);
      job = given.length == null ? job : job.withLength(given.length);
    }
    int most = batch == null ? USUAL.batch() : batch;
    var options = USUAL.withBatch(most, batchTokens).withWindow(window);
    return job.with(options.withResume(resume).withSkipBad(skipBad));
  }

  /** Runs a job with a bar on a terminal. */
  BatchJob.Result run(BatchJob job, BatchJob.Listener listener) {
    try (BatchProgress progress = BatchProgress.on(System.err)) {
      return job.run(progress, listener);
    }
  }

  /** Says what was written. */
  static void print(PerformerCommand command, BatchJob.Result result) {
    boolean isNpz = RowFormat.written(result.output()) == RowFormat.NPZ;
    Map<String, long[]> shapes = isNpz ? Npz.shapes(result.output()) : Map.of();
    shapes.forEach((name, shape) -> command.print(name + " " + Arrays.toString(shape)));
    command.print("%d rows written: %s", result.rows(), result.output());
  }
}
