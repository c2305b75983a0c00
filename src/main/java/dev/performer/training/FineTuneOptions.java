package dev.performer.training;

import dev.performer.data.Batching;
import dev.performer.data.Masking;
import dev.performer.training.optim.Schedule;

/**
 * How a language model is fine-tuned.
 *
 * @param batching length, batch size and ends of the training batches
 * @param loop the loop; its batch is that of {@code batching}
 */
public record FineTuneOptions(Objective objective, Batching batching, LoopOptions loop) {
  /**
   * The loop of a fine-tuning where nothing else is configured: it shows its effect within a few
   * hundred steps, and at most 50 of them are lost to an interruption.
   */
  public static final LoopOptions LOOP =
      LoopOptions.builder()
          .steps(200)
          .schedule(new Schedule.Linear(1e-3, 20, 0))
          .evaluateEvery(50)
          .checkpointEvery(50)
          .diagnosticsEvery(0)
          .divergence(0)
          .build();

  /** A masked language model as protein_lm masks, on crops of 512. */
  public static final FineTuneOptions DEFAULT =
      new FineTuneOptions(
          new Objective.MaskedLanguageModel(Masking.PROTEIN_LM),
          Batching.training(Batching.DEFAULT_LENGTH, Batching.DEFAULT_TOKENS),
          LOOP);

  public FineTuneOptions {
    if (!batching.shuffle()) {
      throw new IllegalArgumentException("training batches must be shuffled");
    }
    loop = loop.toBuilder().batch(batching.size()).build();
  }
}
