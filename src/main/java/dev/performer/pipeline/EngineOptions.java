package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import java.time.Duration;

/**
 * Limits of a {@link TextEngine}.
 *
 * @param maxBatch texts that run at a time at most; the others wait
 * @param maxQueue texts that wait at most
 * @param chunk tokens of prompts that are read between two steps at most
 * @param cacheBytes native memory for the states of prefixes; 0 keeps none
 * @param sessionBytes native memory for open sessions; the least recently used ones go first
 * @param sessionExpiry how long a session stays unused
 */
public record EngineOptions(
    int maxBatch,
    int maxQueue,
    int chunk,
    long cacheBytes,
    long sessionBytes,
    Duration sessionExpiry) {
  /** For a machine of some GB. */
  public static final EngineOptions DEFAULT =
      new EngineOptions(64, 512, 256, 256L << 20, 1L << 30, Duration.ofHours(1));

  /** Checks ranges. @throws dev.performer.PerformerException if a number is out of range */
  public EngineOptions {
    require(maxBatch >= 1, "the batch must be at least 1, not %d", maxBatch);
    require(maxQueue >= 0, "the queue must be 0 or more, not %d", maxQueue);
    require(chunk >= 1, "the chunk must be at least 1 token, not %d", chunk);
    boolean isMemory = cacheBytes >= 0 && sessionBytes >= 0;
    String memory = "the bytes of cache and sessions must be 0 or more, not %d and %d";
    require(isMemory, memory, cacheBytes, sessionBytes);
    boolean lasts = !sessionExpiry.isNegative() && !sessionExpiry.isZero();
    require(lasts, "sessions must last longer than %s", sessionExpiry);
  }

  /** The same with so many texts at a time at most. */
  public EngineOptions withMaxBatch(int texts) {
    return new EngineOptions(texts, maxQueue, chunk, cacheBytes, sessionBytes, sessionExpiry);
  }

  /** The same with so many texts that wait at most. */
  public EngineOptions withMaxQueue(int texts) {
    return new EngineOptions(maxBatch, texts, chunk, cacheBytes, sessionBytes, sessionExpiry);
  }

  /** The same with so many tokens of prompts between two steps at most. */
  public EngineOptions withChunk(int tokens) {
    return new EngineOptions(maxBatch, maxQueue, tokens, cacheBytes, sessionBytes, sessionExpiry);
  }

  /** The same with so much memory for the states of prefixes. */
  public EngineOptions withCacheBytes(long bytes) {
    return new EngineOptions(maxBatch, maxQueue, chunk, bytes, sessionBytes, sessionExpiry);
  }

  /** The same with so much memory for open sessions. */
  public EngineOptions withSessionBytes(long bytes) {
    return new EngineOptions(maxBatch, maxQueue, chunk, cacheBytes, bytes, sessionExpiry);
  }

  /** The same with sessions that go when they are unused so long. */
  public EngineOptions withSessionExpiry(Duration unused) {
    return new EngineOptions(maxBatch, maxQueue, chunk, cacheBytes, sessionBytes, unused);
  }
}
