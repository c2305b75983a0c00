package dev.performer.serving;

import static dev.performer.PerformerException.require;

import java.time.Duration;
import java.util.List;

/**
 * How calls that arrive at the same time run together.
 *
 * @param enabled whether calls are joined; if not, each runs alone
 * @param maxBatch rows that run together at most; a call of more runs alone, in pieces where it can
 * @param maxDelay how long a call waits for others at most while another run is under way; where
 *     nothing runs, it never waits
 * @param maxQueue calls that wait at most; more fail with {@link dev.performer.BusyException}
 * @param allowedSizes numbers of rows that may run, rising, the last no less than {@code maxBatch};
 *     what is missing to one is filled with copies of the last row; empty for any number
 */
public record BatchOptions(
    boolean enabled, int maxBatch, Duration maxDelay, int maxQueue, List<Integer> allowedSizes) {
  /** Joined up to 64 rows, with a delay of 2 ms and room for 1,024 calls. */
  public static final BatchOptions DEFAULT =
      new BatchOptions(true, 64, Duration.ofMillis(2), 1024, List.of());

  /** Each call alone. */
  public static final BatchOptions OFF = DEFAULT.withEnabled(false);

  /** Checks. @throws PerformerException naming the one that makes no sense */
  public BatchOptions {
    allowedSizes = List.copyOf(allowedSizes);
    require(maxBatch > 0, "the largest batch must have 1 row or more, not %d", maxBatch);
    require(!maxDelay.isNegative(), "the delay of a batch is negative: %s", maxDelay);
    require(maxQueue > 0, "the queue of calls must have room for 1 or more, not %d", maxQueue);
    int before = 0;
    for (int size : allowedSizes) {
      require(size > before, "allowed batch sizes must rise from 1, not %s", allowedSizes);
      before = size;
    }
    boolean isEnough = before == 0 || before >= maxBatch;
    String message =
        "the last of the allowed batch sizes %s must be at least the largest batch, %d";
    require(isEnough, message, allowedSizes, maxBatch);
  }

  /** The same, joined or not. */
  public BatchOptions withEnabled(boolean value) {
    return new BatchOptions(value, maxBatch, maxDelay, maxQueue, allowedSizes);
  }

  /** The same with another number of rows at most. */
  public BatchOptions withMaxBatch(int rows) {
    return new BatchOptions(enabled, rows, maxDelay, maxQueue, allowedSizes);
  }

  /** The same with another delay. */
  public BatchOptions withMaxDelay(Duration delay) {
    return new BatchOptions(enabled, maxBatch, delay, maxQueue, allowedSizes);
  }

  /** The same with room for another number of calls. */
  public BatchOptions withMaxQueue(int calls) {
    return new BatchOptions(enabled, maxBatch, maxDelay, calls, allowedSizes);
  }

  /** The same with some numbers of rows alone. */
  public BatchOptions withAllowedSizes(List<Integer> sizes) {
    return new BatchOptions(enabled, maxBatch, maxDelay, maxQueue, sizes);
  }

  /** The rows that run where so many are there. */
  int size(int rows) {
    return allowedSizes.stream().filter(size -> size >= rows).findFirst().orElse(rows);
  }
}
