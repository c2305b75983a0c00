package dev.performer.training;

import dev.performer.data.Batches;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.data.DataStream;
import dev.performer.data.TokenBatch;
import java.util.Optional;
import java.util.function.LongSupplier;

/** Batches of tokens, labelled by an objective. */
public final class TokenBatchSource implements BatchSource {
  /** Of the masks in evaluations; any number will do, as long as it stays. */
  public static final long EVALUATION_SEED = 20_200_930;

  private final Batches batches;
  private final Objective objective;
  private final long seed;
  private final boolean endless;
  private final LongSupplier moment;
  private DataStream<TokenBatch> stream;
  private BatchPosition position = BatchPosition.START;

  private TokenBatchSource(
      Batches batches, Objective objective, long seed, boolean endless, LongSupplier moment) {
    this.batches = batches;
    this.objective = objective;
    this.seed = seed;
    this.endless = endless;
    this.moment = moment;
  }

  /** Epoch after epoch; what is masked differs from epoch to epoch. */
  public static TokenBatchSource training(Batches batches, Objective objective, long seed) {
    return training(batches, objective, seed, null);
  }

  /** The same with masks that depend on the step, say, instead of the epoch. */
  public static TokenBatchSource training(
      Batches batches, Objective objective, long seed, LongSupplier moment) {
    return new TokenBatchSource(batches, objective, seed, true, moment);
  }

  /** One pass; what is masked is the same each time. */
  public static TokenBatchSource evaluation(Batches batches, Objective objective) {
    return evaluation(batches, objective, EVALUATION_SEED);
  }

  /** The same with another seed of the masks. */
  public static TokenBatchSource evaluation(Batches batches, Objective objective, long seed) {
    return new TokenBatchSource(batches, objective, seed, false, () -> 0);
  }

  @Override
  public boolean hasNext() {
    return stream().hasNext();
  }

  @Override
  public LabelledBatch next() {
    TokenBatch batch = stream().next();
    position = batch.position().next();
    long drawn = moment == null ? batch.position().epoch() : moment.getAsLong();
    LabelledBatch labelled = objective.label(batch, batches.vocabulary(), seed, drawn);
    return batch.starts().length == 0 ? labelled : labelled.goingOn(batch.starts());
  }

  @Override
  public BatchPosition position() {
    return position;
  }

  @Override
  public void restore(BatchPosition where) {
    close();
    position = where;
  }

  @Override
  public String name() {
    return batches.name();
  }

  @Override
  public Optional<String> reportOnce() {
    return position.epoch() > 0 || !endless ? batches.reportOnce() : Optional.empty();
  }

  @Override
  public void close() {
    if (stream != null) {
      stream.close();
      stream = null;
    }
  }

  private DataStream<TokenBatch> stream() {
    if (stream == null) {
      stream = endless ? batches.from(position) : batches.epoch(position.epoch(), position.index());
    }
    return stream;
  }
}
