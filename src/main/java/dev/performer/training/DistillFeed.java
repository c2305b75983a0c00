package dev.performer.training;

import dev.performer.data.TokenBatch;
import dev.performer.graph.Tensors;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.types.TFloat64;

/** The tensors of one batch for student and teacher; closing it frees them. */
final class DistillFeed implements AutoCloseable {
  private final Map<Operand<?>, Tensor> tensors = new LinkedHashMap<>();

  /**
   * @param step of the masks that a language model gets; evaluation has one for all
   */
  static DistillFeed of(
      DistillGraph graph, DistillData data, TokenBatch batch, long seed, long step) {
    int[] inputs = batch.tokens();
    int[] targets = batch.tokens();
    float[] weights = new float[inputs.length];
    if (data.guesses().isPresent()) {
      DistillData.Guesses guesses = data.guesses().get();
      LabelledBatch labelled = guesses.objective().label(batch, guesses.vocabulary(), seed, step);
      inputs = labelled.inputs();
      targets = labelled.targets();
      weights = labelled.weights();
    }
    float[] real = new float[inputs.length];
    int[] mask = batch.mask();
    for (int i = 0; i < real.length; i++) {
      real[i] = mask[i];
    }
    long[] shape = {batch.rows(), batch.length()};
    DistillFeed feed = new DistillFeed();
    feed.tensors.put(graph.tokens(), Tensors.of(inputs, shape));
    feed.tensors.put(graph.mask(), Tensors.of(real, shape));
    feed.tensors.put(graph.targets(), Tensors.of(targets, shape));
    feed.tensors.put(graph.weights(), Tensors.of(weights, shape));
    return feed;
  }

  void scalar(Operand<TFloat64> placeholder, double value) {
    tensors.put(placeholder, TFloat64.scalarOf(value));
  }

  void into(Session.Runner runner) {
    tensors.forEach(runner::feed);
  }

  @Override
  public void close() {
    tensors.values().forEach(Tensor::close);
  }
}
