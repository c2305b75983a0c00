package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.pipeline.EngineOptions;
import dev.performer.server.models.RepositoryOptions;
import dev.performer.serving.BatchOptions;
import java.nio.file.Path;
import java.time.Duration;
import picocli.CommandLine.Option;

/** How a server's models are found and run. */
final class ServeModels {
  private static final long MEGABYTE = 1 << 20;

  @Option(
      names = "--poll-interval",
      paramLabel = "TIME",
      description = "How often folders are looked at for versions; 0 for never (default: 1s).")
  private Duration poll = RepositoryOptions.DEFAULT.poll();

  @Option(
      names = "--model-memory",
      paramLabel = "MB",
      description = "Files of all loaded models together at most (default: no limit).")
  private Long memory;

  @Option(
      names = "--max-rows",
      paramLabel = "N",
      description = "Rows of a call at most (default: 65536).")
  private int mostRows = RepositoryOptions.DEFAULT.mostRows();

  @Option(
      names = "--batch-size",
      paramLabel = "ROWS",
      description = "Of calls that run together at most (default: 64).")
  private int rows = BatchOptions.DEFAULT.maxBatch();

  @Option(
      names = "--batch-delay",
      paramLabel = "TIME",
      description = "How long a call waits for others while another runs (default: 2ms).")
  private Duration delay = BatchOptions.DEFAULT.maxDelay();

  @Option(names = "--no-batching", description = "Run each call of a signature alone.")
  private boolean noBatching;

  @Option(
      names = "--streams",
      paramLabel = "N",
      description = "Texts that are generated at a time, by model (default: 64).")
  private int streams = EngineOptions.DEFAULT.maxBatch();

  @Option(
      names = "--cache-memory",
      paramLabel = "MB",
      description = "For the states of prompts that come again, by model (default: 256).")
  private long cache = EngineOptions.DEFAULT.cacheBytes() / MEGABYTE;

  @Option(
      names = "--session-memory",
      paramLabel = "MB",
      description = "For open sessions, by model; then the oldest go (default: 1024).")
  private long sessions = EngineOptions.DEFAULT.sessionBytes() / MEGABYTE;

  @Option(
      names = "--session-expiry",
      paramLabel = "TIME",
      description = "How long a session stays unused (default: 1h).")
  private Duration expiry = EngineOptions.DEFAULT.sessionExpiry();

  @Option(
      names = "--session-dir",
      paramLabel = "FOLDER",
      description = "Where clients may save sessions by name (default: nowhere).")
  private Path sessionFolder;

  RepositoryOptions options() {
    try {
      return RepositoryOptions.DEFAULT
          .withPoll(poll)
          .withMostBytes(memory == null ? Long.MAX_VALUE : memory * MEGABYTE)
          .withMostRows(mostRows)
          .withBatches(
              BatchOptions.DEFAULT.withEnabled(!noBatching).withMaxBatch(rows).withMaxDelay(delay))
          .withTexts(
              EngineOptions.DEFAULT
                  .withMaxBatch(streams)
                  .withCacheBytes(cache * MEGABYTE)
                  .withSessionBytes(sessions * MEGABYTE)
                  .withSessionExpiry(expiry));
    } catch (PerformerException e) {
      throw new PerformerCommand.UsageException(e.getMessage());
    }
  }

  /** Null for none. */
  Path sessionFolder() {
    return sessionFolder;
  }
}
