package dev.performer.recipe;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.model.AttentionConfig;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.training.LoopOptions;
import dev.performer.training.run.AvailableMemory;
import java.util.Locale;
import org.tensorflow.ndarray.Shape;

/**
 * About how much memory a training step takes: weights, gradients and slots, and what forward and
 * backward keep of each layer. Rough, and rather too small than too large: it is there to refuse
 * what cannot work.
 *
 * @param parameters number of weights
 * @param bytes of a step
 */
record MemoryEstimate(long parameters, double bytes) {
  private static final int FLOAT = 4;

  static MemoryEstimate of(PerformerConfig model, LoopOptions training, int length) {
    long parameters = Performer.shapes(model).values().stream().mapToLong(Shape::size).sum();
    // Weight, gradient, two slots; sums of gradients and averages where there are any.
    double copies = 4 + (training.accumulate() > 1 ? 1 : 0) + (training.averageDecay() > 0 ? 1 : 0);
    double tokens = (double) training.batch().rows(length) * length;
    double perToken = 0;
    for (int i = 0; i < model.layers(); i++) {
      perToken += attention(model, model.attentionOf(i), length) + mlp(model);
    }
    for (int i = 0; i < model.decoderLayers(); i++) {
      perToken += attention(model, model.decoderAttentionOf(i), length);
      perToken += attention(model, model.crossAttentionOf(i), length) + mlp(model);
    }
    perToken += 4.0 * model.vocabularySize();
    return new MemoryEstimate(parameters, FLOAT * (copies * parameters + tokens * perToken));
  }

  /** Scores or features of queries and keys, and their gradients. */
  private static double attention(PerformerConfig model, AttentionConfig attention, int length) {
    double wide = attention instanceof AttentionConfig.Exact ? length : attention.projectionRows();
    return model.heads() * (4 * wide + 8.0 * model.headSize());
  }

  private static double mlp(PerformerConfig model) {
    return 10.0 * model.hiddenSize() + 4.0 * model.mlpSize();
  }

  /**
   * @throws PerformerException if this machine or the container has not so much to spare
   */
  void check(LoopOptions training) {
    double free = AvailableMemory.bytes().orElse(Long.MAX_VALUE);
    if (bytes > free) {
      var batch = training.batch();
      String rows =
          batch instanceof BatchSize.Tokens size
              ? size.tokens() + " tokens"
              : batch.rows(1) + " sequences";
      String text =
          "a training step would take about %.1f GB of memory (%.1f million weights, batches of %s), and %.1f GB are free; lower training.batchTokens and raise training.accumulate, or shorten data.length (training.memoryCheck: false tries all the same)";
      throw new PerformerException(
          String.format(Locale.ROOT, text, bytes / 1e9, parameters / 1e6, rows, free / 1e9));
    }
  }
}
