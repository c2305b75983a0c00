package dev.performer.recipe;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.model.AttentionConfig;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.training.LoopOptions;
import dev.performer.training.Memory;
import dev.performer.training.run.AvailableMemory;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.tensorflow.ndarray.Shape;

/**
 * The memory of a training step: weights, gradients and slots, and what forward and backward keep
 * of each layer. Rough, and rather too small than too large: it is there to refuse what cannot
 * work.
 *
 * @param parameters numbers of the model
 * @param bytes of a step
 * @param batch what a batch has
 */
record MemoryEstimate(long parameters, double bytes, BatchSize batch) {
  static MemoryEstimate of(PerformerConfig model, LoopOptions training, int length) {
    long parameters = Performer.shapes(model).values().stream().mapToLong(Shape::size).sum();
    List<AttentionConfig> attentions = new ArrayList<>();
    for (int i = 0; i < model.layers(); i++) {
      attentions.add(model.attentionOf(i));
    }
    for (int i = 0; i < model.decoderLayers(); i++) {
      attentions.add(model.decoderAttentionOf(i));
      attentions.add(model.crossAttentionOf(i));
    }
    int rows = training.batch().rows(length);
    double mlp = 10.0 * model.hiddenSize() + 4.0 * model.mlpSize();
    int blocks = model.layers() + model.decoderLayers();
    var perToken = attentions.stream().mapToDouble(a -> attention(model, a, length));
    double layers = blocks * mlp + perToken.sum();
    double logits = 4.0 * model.vocabularySize();
    double kept =
        switch (training.memory()) {
          case PLAIN -> (double) rows * length * (layers + logits);
          case RECOMPUTE ->
              (double) rows
                  * length
                  * (2.0 * blocks * model.hiddenSize() + layers / blocks + logits);
          case SEGMENTS -> {
            int segment = Math.min(length, training.segmentLength(rows));
            double states =
                attentions.stream().mapToDouble(a -> state(model, a)).sum()
                    * (training.truncate() ? 2 : (length + segment - 1) / segment);
            yield rows * (segment * (layers + logits) + states);
          }
        };
    // Weight, gradient, two slots; sums of gradients and averages where there are any.
    boolean sums = training.accumulate() > 1 || training.memory() == Memory.SEGMENTS;
    double copies = 4 + (sums ? 1 : 0) + (training.averageDecay() > 0 ? 1 : 0);
    double bytes = Float.BYTES * (copies * parameters + kept);
    return new MemoryEstimate(parameters, bytes, training.batch());
  }

  /** Scores or features of queries and keys of a token, and their gradients. */
  private static double attention(PerformerConfig model, AttentionConfig attention, int length) {
    double wide = attention instanceof AttentionConfig.Exact ? length : attention.projectionRows();
    return model.heads() * (4 * wide + 8.0 * model.headSize());
  }

  /** What is kept of a sequence between two segments. */
  private static double state(PerformerConfig model, AttentionConfig attention) {
    int features = Math.max(attention.projectionRows(), model.headSize());
    return (double) model.heads() * (model.headSize() + 1) * features;
  }

  /**
   * @throws PerformerException if this machine or the container has not so much to spare
   */
  void check() {
    double free = AvailableMemory.bytes().orElse(Long.MAX_VALUE);
    boolean isTokens = batch instanceof BatchSize.Tokens;
    String text =
        "a training step would take about %.1f GB of memory (%.1f million weights, batches of %d %s), and %.1f GB are free; lower training.batchTokens and raise training.accumulate, shorten data.length, or take another training.memory (training.memoryCheck: false tries all the same)";
    if (bytes > free) {
      throw new PerformerException(
          String.format(
              Locale.ROOT,
              text,
              bytes / 1e9,
              parameters / 1e6,
              batch.rows(1),
              isTokens ? "tokens" : "sequences",
              free / 1e9));
    }
  }
}
