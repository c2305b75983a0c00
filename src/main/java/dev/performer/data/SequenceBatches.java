package dev.performer.data;

import dev.performer.PerformerException;
import java.util.Optional;

/**
 * The batches of a data set. Reading is streamed: memory is bounded by the window of {@link
 * Batching}, whatever the size of the file. The order depends on the source, the seed and the epoch
 * alone, so a position is enough to go on after an interruption.
 */
public final class SequenceBatches {
  private final SequenceSource source;
  private final Tokenizer tokenizer;
  private final Vocabulary vocabulary;
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
   * @throws PerformerException if begin or end tokens are asked for and the vocabulary has none
   */
  public SequenceBatches(SequenceSource source, Tokenizer tokenizer, Batching batching, long seed) {
    this.tokenizer = tokenizer;
    vocabulary = tokenizer.vocabulary();
    if (batching.prependBos() && vocabulary.bos().isEmpty()) {
      throw new PerformerException("the vocabulary has no begin token to prepend");
    }
    if (batching.appendEos() && vocabulary.eos().isEmpty()) {
      throw new PerformerException("the vocabulary has no end token to append");
    }
    this.source = source;
    this.batching = batching;
    this.seed = seed;
    this.encoder = tokenizer.encoder();
  }

  /** One pass over the data from its first batch; every sequence that is not empty is in it. */
  public BatchStream epoch(long epoch) {
    return new EpochBatches(source, vocabulary, batching, encoder, seed, epoch);
  }

  /** Batches without end, epoch after epoch, from a position on. */
  public BatchStream from(BatchPosition position) {
    return new EndlessBatches(this, position);
  }

  /** Said once, after the first epoch: what was read otherwise than it stood in the file. */
  public Optional<String> reportOnce() {
    Optional<String> report =
        reportable ? encoder.report().map(r -> source.name() + ": " + r) : Optional.empty();
    reportable &= report.isEmpty();
    return report;
  }

  /** What turns texts into tokens. */
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /** The tokens these batches are made of. */
  public Vocabulary vocabulary() {
    return vocabulary;
  }

  /** How the batches are made. */
  public Batching batching() {
    return batching;
  }

  /** What a message calls the data. */
  public String name() {
    return source.name();
  }
}
