package dev.performer.serving;

import java.util.List;
import java.util.Set;

/** A rule by which tokens are chosen from logits. */
public interface Sampler {
  /**
   * The choices of one batch.
   *
   * @param firstRow number of its first prompt among all prompts
   * @param rows how many prompts it has
   * @throws dev.performer.PerformerException if the rule does not allow prompts to be split so
   */
  Choice begin(int firstRow, int rows);

  /** How many of all prompts run at a time. @param wished a batch that memory allows */
  default int batch(int wished, int all) {
    return wished;
  }

  /** Chooses for the rows of a batch. */
  @FunctionalInterface
  interface Choice {
    /**
     * The next token of a row.
     *
     * @param row within the batch
     * @param logits {@code [V]}
     * @param before prompt and tokens so far
     * @param forbidden tokens that are never chosen
     * @throws dev.performer.PerformerException if a logit is NaN, or no token may come
     */
    int next(int row, float[] logits, List<Integer> before, Set<Integer> forbidden);
  }
}
