package dev.performer.data;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.SplittableRandom;
import java.util.TreeMap;

/**
 * One pass over a source: window by window, sequences are shuffled, cropped and put into the bucket
 * of their padded length; a full bucket is a batch. What is left in the buckets at the end is put
 * together, longest first.
 */
final class EpochBatches implements BatchStream {
  private static final int ORDER = 1;
  private static final int CROP = 2;
  private static final int BATCH_ORDER = 3;

  private record Item(int[] tokens, long key) {}

  private final SequenceStream sequences;
  private final Vocabulary vocabulary;
  private final Batching batching;
  private final TextEncoder encoder;
  private final long seed;
  private final long epoch;
  private final TreeMap<Integer, List<Item>> buckets = new TreeMap<>();
  private final Queue<List<Item>> ready = new ArrayDeque<>();
  private long ordinal;
  private long windows;
  private long emitted;
  private boolean exhausted;

  EpochBatches(
      SequenceSource source,
      Vocabulary vocabulary,
      Batching batching,
      TextEncoder encoder,
      long seed,
      long epoch) {
    this.vocabulary = vocabulary;
    this.batching = batching;
    this.encoder = encoder;
    // Without shuffling nothing is random, so that evaluation masks depend on their own seed alone.
    this.seed = batching.shuffle() ? seed : 0;
    this.epoch = epoch;
    this.sequences = source.open();
  }

  @Override
  public boolean hasNext() {
    while (ready.isEmpty() && !exhausted) {
      fill();
    }
    return !ready.isEmpty();
  }

  @Override
  public TokenBatch next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return pack(ready.remove(), new BatchPosition(epoch, emitted++));
  }

  @Override
  public void close() {
    sequences.close();
  }

  private void fill() {
    List<Item> window = readWindow();
    exhausted = window.size() < batching.window() && !sequences.hasNext();
    if (batching.shuffle()) {
      shuffle(window, Seeds.random(seed, epoch, ORDER, windows));
    }
    List<List<Item>> full = new ArrayList<>();
    for (Item item : window) {
      int padded = batching.paddedLength(item.tokens.length);
      List<Item> bucket = buckets.computeIfAbsent(padded, length -> new ArrayList<>());
      bucket.add(item);
      if (bucket.size() == batching.size().rows(padded)) {
        full.add(bucket);
        buckets.remove(padded);
      }
    }
    if (exhausted) {
      full.addAll(leftovers());
    }
    if (batching.shuffle()) {
      shuffle(full, Seeds.random(seed, epoch, BATCH_ORDER, windows));
    }
    ready.addAll(full);
    windows++;
  }

  private List<Item> readWindow() {
    List<Item> window = new ArrayList<>();
    while (window.size() < batching.window() && sequences.hasNext()) {
      int[] ids = encoder.encode(sequences.next().residues());
      long key = Seeds.mix(seed, epoch, ordinal++);
      if (ids.length > 0) {
        window.add(new Item(crop(ids, key), key));
      }
    }
    return window;
  }

  /** The sequence with its ends, cut to the length: from the start, or anywhere in training. */
  private int[] crop(int[] ids, long key) {
    int begin = batching.prependBos() ? 1 : 0;
    int total = begin + ids.length + (batching.appendEos() ? 1 : 0);
    int length = Math.min(total, batching.length());
    int start = 0;
    if (batching.randomCrop() && total > length) {
      start = Seeds.random(key, CROP).nextInt(total - length + 1);
    }
    int[] result = new int[length];
    for (int i = 0; i < length; i++) {
      int at = start + i - begin;
      result[i] =
          at < 0
              ? vocabulary.bos().getAsInt()
              : at < ids.length ? ids[at] : vocabulary.eos().getAsInt();
    }
    return result;
  }

  private List<List<Item>> leftovers() {
    List<Item> rest = new ArrayList<>();
    buckets.values().forEach(rest::addAll);
    buckets.clear();
    rest.sort(Comparator.comparingInt((Item item) -> item.tokens.length).reversed());
    List<List<Item>> batches = new ArrayList<>();
    for (int from = 0; from < rest.size(); ) {
      int padded = batching.paddedLength(rest.get(from).tokens.length);
      int to = Math.min(rest.size(), from + batching.size().rows(padded));
      batches.add(rest.subList(from, to));
      from = to;
    }
    return batches;
  }

  private TokenBatch pack(List<Item> items, BatchPosition position) {
    int longest = items.stream().mapToInt(item -> item.tokens.length).max().orElseThrow();
    int length = batching.paddedLength(longest);
    int[] tokens = new int[items.size() * length];
    Arrays.fill(tokens, vocabulary.pad().orElse(0));
    int[] lengths = new int[items.size()];
    long[] keys = new long[items.size()];
    for (int row = 0; row < items.size(); row++) {
      Item item = items.get(row);
      System.arraycopy(item.tokens, 0, tokens, row * length, item.tokens.length);
      lengths[row] = item.tokens.length;
      keys[row] = item.key;
    }
    return new TokenBatch(length, tokens, lengths, keys, position);
  }

  private static <T> void shuffle(List<T> list, SplittableRandom random) {
    for (int i = list.size() - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      T swapped = list.get(i);
      list.set(i, list.get(j));
      list.set(j, swapped);
    }
  }
}
