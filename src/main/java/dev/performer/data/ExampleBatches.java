package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.TokenBatch.Row;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Queue;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.function.LongUnaryOperator;
import java.util.stream.LongStream;

/**
 * The batches of any source of examples. Where examples can be had by number, their order is a
 * random one of all of them; otherwise it is random within {@link Batching#window}. Order and crops
 * depend on the source, the seed and the epoch alone.
 */
public final class ExampleBatches implements Batches {
  // What random numbers are for.
  private static final int ORDER = 1;
  private static final int CROP = 2;
  private static final int BATCH_ORDER = 3;
  private static final int PERMUTATION = 4;
  private static final int SHUFFLE = 5;

  private final ExampleSource source;
  private final Vocabulary vocabulary;
  private final Batching batching;
  private final Optional<Packing> packing;
  private final long seed;
  private boolean reportable = true;

  /**
   * @param packing how examples share rows, where they do
   * @param seed of the order and the crops; without meaning where the batching does not shuffle
   * @throws PerformerException if begin or end tokens are configured and the vocabulary has none
   */
  public ExampleBatches(
      ExampleSource source,
      Vocabulary vocabulary,
      Batching batching,
      Optional<Packing> packing,
      long seed) {
    boolean hasBegin = !batching.prependBos() || vocabulary.bos().isPresent();
    require(hasBegin, "the vocabulary has no begin token to prepend");
    boolean hasEnd = !batching.appendEos() || vocabulary.eos().isPresent();
    require(hasEnd, "the vocabulary has no end token to append");
    this.source = source;
    this.vocabulary = vocabulary;
    this.batching = batching;
    this.packing = packing;
    // Without shuffling nothing is random, so that evaluation masks depend on their own seed alone.
    this.seed = batching.shuffle() ? seed : 0;
  }

  /** Without packing. */
  public ExampleBatches(ExampleSource source, Vocabulary vocabulary, Batching batching, long seed) {
    this(source, vocabulary, batching, Optional.empty(), seed);
  }

  /** The texts of sequences as a tokenizer reads them. */
  public static ExampleBatches of(
      SequenceSource texts, Tokenizer tokenizer, Batching batching, long seed) {
    ExampleSource source = ExampleSource.of(texts, tokenizer.encoder());
    return new ExampleBatches(source, tokenizer.vocabulary(), batching, seed);
  }

  @Override
  public DataStream<TokenBatch> epoch(long epoch, long index) {
    DataStream<Example> examples;
    if (source instanceof IndexedExamples indexed) {
      LongUnaryOperator order =
          batching.shuffle()
              ? Seeds.permutation(indexed.size(), Seeds.mix(seed, epoch, PERMUTATION))
              : place -> place;
      if (packing.isEmpty() && batching.bucket() >= batching.length()) {
        return ofOneShape(indexed, order, epoch, index);
      }
      examples = indexed.open(order);
    } else {
      examples = source.open();
      if (packing.isPresent() && batching.shuffle()) {
        examples = shuffled(examples, Seeds.random(seed, epoch, SHUFFLE));
      }
    }
    Pass pass =
        new Pass(packing.isEmpty() ? examples : packing.get().apply(examples, name()), epoch);
    return DataStream.of(pass::next, pass.examples::close).after(index);
  }

  /** Any batch of numbered examples is had at once; one whose examples are empty is none. */
  private DataStream<TokenBatch> ofOneShape(
      IndexedExamples all, LongUnaryOperator order, long epoch, long index) {
    int count = batching.size().rows(batching.length());
    return DataStream.of(
        LongStream.range(index, all.size() / count + (all.size() % count == 0 ? 0 : 1))
            .mapToObj(
                i -> {
                  List<Row> rows = new ArrayList<>(count);
                  long end = Math.min(all.size(), (i + 1) * count);
                  for (long place = i * count; place < end; place++) {
                    add(all.get(order.applyAsLong(place)), Seeds.mix(seed, epoch, place), rows);
                  }
                  return rows.isEmpty() ? null : batch(rows, new BatchPosition(epoch, i));
                })
            .filter(Objects::nonNull)
            .iterator());
  }

  /**
   * In an order that is random within a window, for streams too large for memory: whichever example
   * of the buffer is drawn, the next of the stream takes its place.
   */
  private DataStream<Example> shuffled(DataStream<Example> examples, SplittableRandom random) {
    List<Example> buffer = new ArrayList<>();
    return DataStream.of(
        () -> {
          while (buffer.size() < batching.window() && examples.hasNext()) {
            buffer.add(examples.next());
          }
          if (buffer.isEmpty()) {
            return null;
          }
          int drawn = random.nextInt(buffer.size());
          Example last = buffer.remove(buffer.size() - 1);
          return drawn < buffer.size() ? buffer.set(drawn, last) : last;
        },
        examples::close);
  }

  /**
   * One pass over a source: window by window, examples are shuffled, cropped and put into the
   * bucket of their padded length; a full bucket is a batch, and in the end what is left.
   */
  private final class Pass {
    private final DataStream<Example> examples;
    private final TreeMap<Integer, List<Row>> buckets = new TreeMap<>();
    private final Queue<List<Row>> ready = new ArrayDeque<>();
    private BatchPosition position;
    private long ordinal;
    private long windows;
    private boolean exhausted;

    Pass(DataStream<Example> examples, long epoch) {
      this.examples = examples;
      position = new BatchPosition(epoch, 0);
    }

    TokenBatch next() {
      while (ready.isEmpty() && !exhausted) {
        fill();
      }
      if (ready.isEmpty()) {
        return null;
      }
      TokenBatch batch = batch(ready.remove(), position);
      position = position.next();
      return batch;
    }

    private void fill() {
      List<Row> window = new ArrayList<>();
      while (window.size() < batching.window() && examples.hasNext()) {
        add(examples.next(), Seeds.mix(seed, position.epoch(), ordinal++), window);
      }
      exhausted = window.size() < batching.window() && !examples.hasNext();
      shuffle(window, ORDER);
      List<List<Row>> full = new ArrayList<>();
      for (Row row : window) {
        int padded = batching.paddedLength(row.tokens().length);
        List<Row> bucket = buckets.computeIfAbsent(padded, length -> new ArrayList<>());
        bucket.add(row);
        if (bucket.size() == batching.size().rows(padded)) {
          full.add(buckets.remove(padded));
        }
      }
      if (exhausted) {
        var longestFirst = Comparator.comparingInt((Row row) -> -row.tokens().length);
        full.addAll(
            TokenBatch.split(
                buckets.values().stream().flatMap(List::stream).sorted(longestFirst).toList(),
                row -> batching.size().rows(batching.paddedLength(row.tokens().length))));
      }
      shuffle(full, BATCH_ORDER);
      ready.addAll(full);
      windows++;
    }

    private void shuffle(List<?> list, int purpose) {
      if (batching.shuffle()) {
        Seeds.shuffle(list, Seeds.random(seed, position.epoch(), purpose, windows));
      }
    }
  }

  /** Adds the example, unless it is empty, with its ends, cut: from the start, or anywhere. */
  private void add(Example example, long key, List<Row> rows) {
    int[] ids = example.tokens();
    if (ids.length == 0) {
      return;
    }
    int begin = batching.prependBos() ? 1 : 0;
    int total = begin + ids.length + (batching.appendEos() ? 1 : 0);
    int length = Math.min(total, batching.length());
    boolean isAnywhere = batching.randomCrop() && total > length;
    int start = isAnywhere ? Seeds.random(key, CROP).nextInt(total - length + 1) : 0;
    int from = Math.max(0, start - begin);
    int place = from + begin - start;
    int count = Math.min(ids.length - from, length - place);
    int[] tokens = new int[length];
    if (place > 0) {
      tokens[0] = vocabulary.bos().getAsInt();
    }
    System.arraycopy(ids, from, tokens, place, count);
    if (place + count < length) {
      tokens[length - 1] = vocabulary.eos().getAsInt();
    }
    Label label = example.label();
    if (label instanceof Label.Weights all) {
      float[] weights = new float[length];
      System.arraycopy(all.weights(), from, weights, place, count);
      label = new Label.Weights(weights);
    } else if (label instanceof Label.Tags all) {
      int[] tags = new int[length];
      Arrays.fill(tags, -1);
      System.arraycopy(all.ids(), from, tags, place, count);
      label = new Label.Tags(tags);
    }
    rows.add(new Row(tokens, label, key));
  }

  /** Rows padded to the length of the longest, rounded up as the batching has it. */
  private TokenBatch batch(List<Row> rows, BatchPosition position) {
    int longest = rows.stream().mapToInt(row -> row.tokens().length).max().orElseThrow();
    int length = batching.paddedLength(longest);
    return TokenBatch.padded(rows, length, vocabulary.pad().orElse(0), position);
  }

  @Override
  public Optional<String> reportOnce() {
    Optional<String> report = reportable ? source.report() : Optional.empty();
    reportable &= report.isEmpty();
    return report.map(line -> name() + ": " + line);
  }

  @Override
  public String name() {
    return source.name();
  }

  @Override
  public Vocabulary vocabulary() {
    return vocabulary;
  }
}
