package dev.performer.data;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Queue;
import java.util.TreeMap;

/**
 * One pass over a source: window by window, examples are shuffled, cropped and put into the bucket
 * of their padded length; a full bucket is a batch. What is left in the buckets at the end is put
 * together, longest first.
 */
final class EpochBatches {
  private static final int ORDER = 1;
  private static final int BATCH_ORDER = 3;

  private final DataStream<Example> examples;
  private final Collator collator;
  private final Batching batching;
  private final long seed;
  private final long epoch;
  private final TreeMap<Integer, List<Collator.Row>> buckets = new TreeMap<>();
  private final Queue<List<Collator.Row>> ready = new ArrayDeque<>();
  private long ordinal;
  private long windows;
  private long emitted;
  private boolean exhausted;

  private EpochBatches(DataStream<Example> examples, Collator collator, long seed, long epoch) {
    this.examples = examples;
    this.collator = collator;
    this.batching = collator.batching();
    this.seed = seed;
    this.epoch = epoch;
  }

  /** Closing the result closes the examples. */
  static DataStream<TokenBatch> of(
      DataStream<Example> examples, Collator collator, long seed, long epoch) {
    return DataStream.of(new EpochBatches(examples, collator, seed, epoch)::next, examples::close);
  }

  private TokenBatch next() {
    while (ready.isEmpty() && !exhausted) {
      fill();
    }
    return ready.isEmpty()
        ? null
        : collator.batch(ready.remove(), new BatchPosition(epoch, emitted++));
  }

  private void fill() {
    List<Collator.Row> window = readWindow();
    exhausted = window.size() < batching.window() && !examples.hasNext();
    List<List<Collator.Row>> full = new ArrayList<>();
    shuffle(window, ORDER);
    for (Collator.Row item : window) {
      int padded = batching.paddedLength(item.tokens().length);
      List<Collator.Row> bucket = buckets.computeIfAbsent(padded, length -> new ArrayList<>());
      bucket.add(item);
      if (bucket.size() == batching.size().rows(padded)) {
        full.add(buckets.remove(padded));
      }
    }
    if (exhausted) {
      full.addAll(leftovers());
    }
    shuffle(full, BATCH_ORDER);
    ready.addAll(full);
    windows++;
  }

  private void shuffle(List<?> list, int purpose) {
    if (batching.shuffle()) {
      Seeds.shuffle(list, Seeds.random(seed, epoch, purpose, windows));
    }
  }

  private List<Collator.Row> readWindow() {
    List<Collator.Row> window = new ArrayList<>();
    while (window.size() < batching.window() && examples.hasNext()) {
      Example example = examples.next();
      long key = Seeds.mix(seed, epoch, ordinal++);
      if (example.tokens().length > 0) {
        window.add(collator.crop(example, key));
      }
    }
    return window;
  }

  private List<List<Collator.Row>> leftovers() {
    List<Collator.Row> rest = new ArrayList<>();
    buckets.values().forEach(rest::addAll);
    rest.sort(Comparator.comparingInt((Collator.Row item) -> item.tokens().length).reversed());
    return Collator.split(
        rest, row -> batching.size().rows(batching.paddedLength(row.tokens().length)));
  }
}
