package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt64;

class LossGraphTest {
  private static final int B = 3;
  private static final int L = 4;
  private static final int V = 5;

  /** Logits are a variable, large enough that a careless softmax would overflow. */
  @Test
  void lossSumsAndGradientAreTheFormulas() {
    float[] logits = new float[B * L * V];
    int[] targets = new int[B * L];
    float[] weights = new float[B * L];
    SplittableRandom random = new SplittableRandom(3);
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) (random.nextDouble() * 6 + (i < 10 ? 200 : -100));
    }
    for (int i = 0; i < targets.length; i++) {
      targets[i] = random.nextInt(V);
      weights[i] = i % 3 == 0 ? 0 : 0.5f + i;
    }
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      var initial = tf.reshape(tf.constant(logits), tf.constant(new int[] {B, L, V}));
      Variable variable = variables.create("logits", Shape.of(B, L, V), true, initial);
      var tokens = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(-1, -1)));
      LanguageModel model =
          new LanguageModel(
              graph,
              tokens.asOutput(),
              Optional.empty(),
              Map.of(),
              variable.<TFloat32>read(tf).asOutput(),
              variables.all(),
              variables::initialize);
      LossGraph loss = LossGraph.build(model);
      var gradient = graph.addGradients(loss.loss(), new Output<?>[] {variable.handle()});
      LabelledBatch batch = new LabelledBatch(B, L, targets, targets, targets, weights);
      try (Session session = new Session(graph, false)) {
        variables.initialize(session);
        try (Feed feed = Feed.of(List.of(model), loss, batch)) {
          Session.Runner runner = session.runner();
          feed.into(runner);
          runner.fetch(loss.loss()).fetch(loss.sums()).fetch(gradient[0]);
          try (Result result = runner.run()) {
            assertAll(
                logits,
                targets,
                weights,
                Tensors.floats(result.get(0))[0],
                Tensors.doubles(result.get(1)),
                Tensors.floats(result.get(2)));
          }
        }
      }
    }
  }

  private static void assertAll(
      float[] logits, int[] targets, float[] weights, float loss, double[] sums, float[] gradient) {
    double entropy = 0;
    double right = 0;
    double total = 0;
    for (float w : weights) {
      total += w;
    }
    for (int i = 0; i < targets.length; i++) {
      int best = 0;
      double max = Double.NEGATIVE_INFINITY;
      for (int j = 0; j < V; j++) {
        if (logits[i * V + j] > max) {
          max = logits[i * V + j];
          best = j;
        }
      }
      double z = 0;
      for (int j = 0; j < V; j++) {
        z += Math.exp(logits[i * V + j] - max);
      }
      entropy += weights[i] * (max + Math.log(z) - logits[i * V + targets[i]]);
      right += best == targets[i] ? weights[i] : 0;
      for (int j = 0; j < V; j++) {
        double p = Math.exp(logits[i * V + j] - max) / z;
        double expected = weights[i] / total * (p - (j == targets[i] ? 1 : 0));
        assertThat((double) gradient[i * V + j]).isCloseTo(expected, within(1e-6));
      }
    }
    assertThat(sums[0]).isCloseTo(entropy, within(2e-5 * entropy));
    assertThat(sums[1]).isCloseTo(right, within(1e-5));
    assertThat(sums[2]).isCloseTo(total, within(1e-5));
    assertThat((double) loss).isCloseTo(entropy / total, within(1e-5));
  }
}
