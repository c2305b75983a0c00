package dev.performer.data;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A stream in an order that is random within a window, for streams too large for memory: whichever
 * example of the buffer is drawn, the next of the stream takes its place. The order depends on the
 * stream and the random numbers alone, so that replaying it gives the same buffer.
 */
final class ShuffleBuffer extends LookAhead<Example> {
  private final DataStream<Example> examples;
  private final int capacity;
  private final SplittableRandom random;
  private final List<Example> buffer = new ArrayList<>();

  ShuffleBuffer(DataStream<Example> examples, int capacity, SplittableRandom random) {
    this.examples = examples;
    this.capacity = capacity;
    this.random = random;
  }

  @Override
  protected Example read() {
    while (buffer.size() < capacity && examples.hasNext()) {
      buffer.add(examples.next());
    }
    if (buffer.isEmpty()) {
      return null;
    }
    int drawn = random.nextInt(buffer.size());
    Example result = buffer.get(drawn);
    // The last moves into the gap; the next call fills up behind it.
    Example last = buffer.remove(buffer.size() - 1);
    if (drawn < buffer.size()) {
      buffer.set(drawn, last);
    }
    return result;
  }

  @Override
  public void close() {
    examples.close();
  }
}
