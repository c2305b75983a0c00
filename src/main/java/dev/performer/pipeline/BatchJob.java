package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.DataFile;
import dev.performer.data.Field;
import dev.performer.data.RowSource;
import dev.performer.pipeline.RowModel.Item;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Stream;

/**
 * Runs a model on any number of rows, in bounded memory: windows of rows are read and tokenised,
 * run in batches of like lengths, and written in the input's order, all at the same time.
 *
 * <pre>{@code
 * try (Embedder embedder = Embedder.load(Path.of("model"))) {
 *   RowModel model = embedder.rows();
 *   BatchJob.of(model, List.of(Path.of("texts.parquet")), Columns.DEFAULT)
 *       .withOutput(Path.of("vectors.parquet"))
 *       .run(BatchProgress.silent());
 * }
 * }</pre>
 *
 * <p>What is written depends on rows, model and options alone. Immutable; the model is closed by
 * whoever loaded it, after the run.
 *
 * @param output {@code .csv}, {@code .tsv}, {@code .parquet} or {@code .npz}; null for none
 * @param length tokens of a row at most; longer ones are cropped
 * @param options how it runs
 */
public record BatchJob(RowModel model, RowSource source, Path output, int length, Options options) {
  private static final JsonMapper JSON = new JsonMapper();

  /**
   * How rows run.
   *
   * @param batch rows that run together at most
   * @param batchTokens tokens that run together at most, padding included, unless one row has more
   * @param window rows that are read, sorted by length and written together at most
   * @param workers batches that run at a time
   * @param resume whether it goes on where a run of the same job ended early
   * @param skipBad whether rows that cannot be used are left out, and listed in a file beside the
   *     output
   */
  public record Options(
      int batch, int batchTokens, int window, int workers, boolean resume, boolean skipBad) {
    /** What is not configured. */
    public static final Options DEFAULT =
        new Options(1024, 8192, 8192, Runtime.getRuntime().availableProcessors(), false, false);

    /** Checks. @throws PerformerException if a number is below 1 */
    public Options {
      boolean isSound = batch >= 1 && batchTokens >= 1 && window >= 1 && workers >= 1;
      require(isSound, "batch, batchTokens, window and workers must be at least 1");
    }

    /** With other batches. */
    public Options withBatch(int rows, int tokens) {
      return new Options(rows, tokens, window, workers, resume, skipBad);
    }

    /** With other windows. */
    public Options withWindow(int rows) {
      return new Options(batch, batchTokens, rows, workers, resume, skipBad);
    }

    /** Going on, or not. */
    public Options withResume(boolean value) {
      return new Options(batch, batchTokens, window, workers, value, skipBad);
    }

    /** Leaving bad rows out, or not. */
    public Options withSkipBad(boolean value) {
      return new Options(batch, batchTokens, window, workers, resume, value);
    }
  }

  /** Gets rows that are done, in their order, from one thread at a time. */
  public interface Listener {
    /**
     * @param values of each row's fields
     */
    void rows(List<Field> fields, List<Item> items, List<Object[]> values);
  }

  /**
   * What was done.
   *
   * @param rows with a result, in this run and those that it goes on from
   * @param resumed rows of runs that it goes on from
   * @param skipped rows that were left out
   * @param cropped rows that were too long
   * @param skippedFile that lists those left out; null if there is none
   * @param sums over rows of {@link RowModel#sums}
   */
  public record Result(
      Path output,
      long rows,
      long resumed,
      long skipped,
      long cropped,
      Path skippedFile,
      double[] sums) {}

  /** A job on files, folders and patterns, as {@link RowSource#of} takes them. */
  public static BatchJob of(RowModel model, List<Path> inputs, RowSource.Columns columns) {
    TokenInput input = model.input();
    var pad = input == null ? OptionalInt.empty() : input.tokenizer().vocabulary().pad();
    RowSource source = RowSource.of(inputs, columns.ofArrays(model.arrays()), pad);
    int length = input == null ? 1 : Math.min(TokenInput.DEFAULT_LENGTH, input.limit());
    return new BatchJob(model, source, null, length, Options.DEFAULT);
  }

  /** With a file for the results. */
  public BatchJob withOutput(Path file) {
    return new BatchJob(model, source, file, length, options);
  }

  /** Up to another length. @throws PerformerException if the model takes less */
  public BatchJob withLength(int tokens) {
    model.input().requireLength(tokens);
    return new BatchJob(model, source, output, tokens, options);
  }

  /** With other options. */
  public BatchJob with(Options other) {
    return new BatchJob(model, source, output, length, other);
  }

  /** Runs it. */
  public Result run(BatchProgress progress) {
    return run(progress, (fields, items, values) -> {});
  }

  /**
   * Runs it.
   *
   * @throws PerformerException if a row, the model or a file cannot be used; whole parts of the
   *     output stay for another run
   */
  public Result run(BatchProgress progress, Listener listener) {
    if (output == null) {
      return new BatchRun(this, null, progress, listener).all();
    }
    ObjectNode key = key();
    try (BatchParts parts = BatchParts.open(output, options.resume, key)) {
      return new BatchRun(this, parts, progress, listener).all();
    }
  }

  /** What a run has in common with those that go on from it. */
  ObjectNode key() {
    ObjectNode key = JSON.createObjectNode();
    key.set("input", JSON.valueToTree(source.files().stream().map(BatchJob::print).toList()));
    key.set("model", JSON.valueToTree(prints(model.model())));
    var used =
        new Options(options.batch, options.batchTokens, options.window, 1, false, options.skipBad);
    key.put(
        "options", "%s %s %d %s".formatted(model.description(), source.columns(), length, used));
    return key;
  }

  private static List<String> prints(Path folder) {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).sorted().map(BatchJob::print).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What changes when a file does. */
  private static String print(Path file) {
    try {
      return DataFile.isStandardInput(file)
          ? file + " " + ProcessHandle.current().pid() // it comes once
          : file.toAbsolutePath() + " " + Files.size(file) + " " + Files.getLastModifiedTime(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
