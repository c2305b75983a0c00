package dev.performer.data;

import dev.performer.PerformerException;
import java.util.Optional;

/**
 * The batches of a data set. Reading is streamed: memory is bounded by the window of {@link
 * Batching}, whatever the size of the file. The order depends on the source, the seed and the epoch
 * alone, so a position is enough to go on after an interruption.
 */
public final class SequenceBatches implements Batches {
  private final SequenceSource source;
  private final Tokenizer tokenizer;
  private final Batching batching;
  private final long seed;
  private final TextEncoder encoder;
  private boolean reportable = true;

  /** Batches of single letters. */
  public SequenceBatches(
      SequenceSource source, Vocabulary vocabulary, Batching batching, long seed) {
    this(source, new LetterTokenizer(vocabulary), batching, seed);
  }

  /**
   * @param seed of the order and the crops; without meaning where the batching does not shuffle
   * @throws PerformerException if begin or end tokens are configured and the vocabulary has none
   */
  public SequenceBatches(SequenceSource source, Tokenizer tokenizer, Batching batching, long seed) {
    batching.check(tokenizer.vocabulary());
    this.source = source;
    this.tokenizer = tokenizer;
    this.batching = batching;
    this.seed = seed;
    this.encoder = tokenizer.encoder();
  }

  @Override
  public DataStream<TokenBatch> epoch(long epoch, long index) {
    DataStream<Example> examples = ExampleSource.of(source, encoder).open();
    return new EpochBatches(examples, vocabulary(), batching, seed, epoch).after(index);
  }

  @Override
  public Optional<String> reportOnce() {
    Optional<String> report =
        reportable ? encoder.report().map(r -> source.name() + ": " + r) : Optional.empty();
    reportable &= report.isEmpty();
    return report;
  }

  @Override
  public Vocabulary vocabulary() {
    return tokenizer.vocabulary();
  }

  @Override
  public String name() {
    return source.name();
  }
}
