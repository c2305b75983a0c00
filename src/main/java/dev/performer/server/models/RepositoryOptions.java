package dev.performer.server.models;

import static dev.performer.PerformerException.require;

import dev.performer.pipeline.EngineOptions;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.serving.BatchOptions;
import java.time.Duration;
import java.util.function.Consumer;

/**
 * How models are loaded.
 *
 * @param poll how often folders are looked at for new versions; zero for never
 * @param timeout how long loading a model, and then each run of a signature, may take
 * @param mostBytes files of all loaded models together at most: what their weights need in memory
 * @param mostRows of a call at most
 * @param batches how concurrent calls run together
 * @param texts limits of what continues texts on a model
 * @param log takes a line on each thing that happens: loaded, unloaded, cannot be loaded
 */
public record RepositoryOptions(
    Duration poll,
    Duration timeout,
    long mostBytes,
    int mostRows,
    BatchOptions batches,
    EngineOptions texts,
    Consumer<String> log) {
  /** Looks each second, as TensorFlow Serving does; no limits; silent. */
  public static final RepositoryOptions DEFAULT =
      new RepositoryOptions(
          Duration.ofSeconds(1),
          SavedModelPredictor.TIMEOUT,
          Long.MAX_VALUE,
          1 << 16,
          BatchOptions.DEFAULT,
          EngineOptions.DEFAULT,
          line -> {});

  public RepositoryOptions {
    require(!poll.isNegative(), "the time between two looks at folders cannot be %s", poll);
    require(mostRows > 0, "a call has rows, but %d are allowed", mostRows);
    require(mostBytes > 0, "models need memory, but %d bytes are allowed", mostBytes);
  }

  public RepositoryOptions withPoll(Duration own) {
    return new RepositoryOptions(own, timeout, mostBytes, mostRows, batches, texts, log);
  }

  public RepositoryOptions withTimeout(Duration own) {
    return new RepositoryOptions(poll, own, mostBytes, mostRows, batches, texts, log);
  }

  public RepositoryOptions withMostBytes(long own) {
    return new RepositoryOptions(poll, timeout, own, mostRows, batches, texts, log);
  }

  public RepositoryOptions withMostRows(int own) {
    return new RepositoryOptions(poll, timeout, mostBytes, own, batches, texts, log);
  }

  public RepositoryOptions withBatches(BatchOptions own) {
    return new RepositoryOptions(poll, timeout, mostBytes, mostRows, own, texts, log);
  }

  public RepositoryOptions withTexts(EngineOptions own) {
    return new RepositoryOptions(poll, timeout, mostBytes, mostRows, batches, own, log);
  }

  public RepositoryOptions withLog(Consumer<String> own) {
    return new RepositoryOptions(poll, timeout, mostBytes, mostRows, batches, texts, own);
  }
}
