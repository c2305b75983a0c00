package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.LongUnaryOperator;
import java.util.stream.LongStream;

/**
 * The batches of any source of examples. Where examples can be had by number, their order is a
 * random one of all of them; otherwise it is random within {@link Batching#window}. Order and crops
 * depend on the source, the seed and the epoch alone.
 */
public final class ExampleBatches implements Batches {
  private static final int PERMUTATION = 4;
  private static final int SHUFFLE = 5;

  private final ExampleSource source;
  private final Collator collator;
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
    require(
        !batching.prependBos() || vocabulary.bos().isPresent(),
        "the vocabulary has no begin token to prepend");
    require(
        !batching.appendEos() || vocabulary.eos().isPresent(),
        "the vocabulary has no end token to append");
    this.source = source;
    this.collator = new Collator(vocabulary, batching);
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
    if (source instanceof IndexedExamples indexed) {
      LongUnaryOperator order =
          batching.shuffle()
              ? new Permutation(indexed.size(), Seeds.mix(seed, epoch, PERMUTATION))
              : place -> place;
      return packing.isEmpty() && batching.bucket() >= batching.length()
          ? ofOneShape(indexed, order, epoch, index)
          : replayed(indexed.open(order), epoch, index);
    }
    boolean buffered = packing.isPresent() && batching.shuffle();
    return replayed(
        buffered ? shuffled(source.open(), Seeds.random(seed, epoch, SHUFFLE)) : source.open(),
        epoch,
        index);
  }

  private DataStream<TokenBatch> replayed(DataStream<Example> examples, long epoch, long index) {
    DataStream<Example> rows =
        packing.isPresent() ? packing.get().apply(examples, source.name()) : examples;
    return EpochBatches.of(rows, collator, seed, epoch).after(index);
  }

  /** Any batch of numbered examples is had at once; one whose examples are empty is none. */
  private DataStream<TokenBatch> ofOneShape(
      IndexedExamples all, LongUnaryOperator order, long epoch, long index) {
    int count = batching.size().rows(batching.length());
    return DataStream.of(
        LongStream.range(index, all.size() / count + (all.size() % count == 0 ? 0 : 1))
            .mapToObj(
                i -> {
                  List<Collator.Row> rows = new ArrayList<>(count);
                  long end = Math.min(all.size(), (i + 1) * count);
                  for (long place = i * count; place < end; place++) {
                    Example example = all.get(order.applyAsLong(place));
                    if (example.tokens().length > 0) {
                      rows.add(collator.crop(example, Seeds.mix(seed, epoch, place)));
                    }
                  }
                  return rows.isEmpty() ? null : collator.batch(rows, new BatchPosition(epoch, i));
                })
            .filter(Objects::nonNull)
            .iterator());
  }

  /**
   * In an order that is random within a window, for streams too large for memory: whichever example
   * of the buffer is drawn, the next of the stream takes its place. The order depends on the stream
   * and the random numbers alone, so that replaying it gives the same buffer.
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
    return collator.vocabulary();
  }
}
