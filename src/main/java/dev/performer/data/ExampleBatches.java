package dev.performer.data;

import dev.performer.PerformerException;
import java.util.Optional;
import java.util.function.LongUnaryOperator;

/**
 * The batches of any source of examples. Where examples can be had by number, their order is a
 * random one of all of them; otherwise it is random within {@link Batching#window}. Order and crops
 * depend on the source, the seed and the epoch alone.
 */
public final class ExampleBatches implements Batches {
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
    batching.check(vocabulary);
    this.source = source;
    this.vocabulary = vocabulary;
    this.batching = batching;
    this.packing = packing;
    this.seed = seed;
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

  /** Sequences of single letters. */
  public static ExampleBatches of(
      SequenceSource texts, Vocabulary vocabulary, Batching batching, long seed) {
    return of(texts, new LetterTokenizer(vocabulary), batching, seed);
  }

  @Override
  public DataStream<TokenBatch> epoch(long epoch, long index) {
    boolean oneShape = batching.bucket() >= batching.length();
    if (source instanceof IndexedExamples indexed && packing.isEmpty() && oneShape) {
      return new IndexedEpoch(
          indexed, order(indexed, epoch), new Collator(vocabulary, batching), seed, epoch, index);
    }
    return replayed(epoch).after(index);
  }

  private DataStream<TokenBatch> replayed(long epoch) {
    DataStream<Example> examples;
    if (source instanceof IndexedExamples indexed) {
      examples = indexed.open(order(indexed, epoch));
    } else if (packing.isPresent() && batching.shuffle()) {
      examples =
          new ShuffleBuffer(source.open(), batching.window(), Seeds.random(seed, epoch, SHUFFLE));
    } else {
      examples = source.open();
    }
    if (packing.isPresent()) {
      examples = packing.get().apply(examples, source.name());
    }
    return new EpochBatches(examples, vocabulary, batching, seed, epoch);
  }

  private LongUnaryOperator order(IndexedExamples indexed, long epoch) {
    return batching.shuffle()
        ? new Permutation(indexed.size(), Seeds.mix(seed, epoch, PERMUTATION))
        : index -> index;
  }

  @Override
  public Optional<String> reportOnce() {
    Optional<String> report =
        reportable ? source.report().map(r -> source.name() + ": " + r) : Optional.empty();
    reportable &= report.isEmpty();
    return report;
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
