package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.performer.data.NpyArray;
import dev.performer.training.AdamW;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Three steps of Google's own fine-tuning, with a fresh Adam and without decay. */
class ProteinLmStepsTest {
  private static final int VOCABULARY = 29;
  private static final int PAD = 27;
  private static final double RATE = 1e-3;

  @ParameterizedTest
  @CsvSource(textBlock = ProteinLmTest.CAUSAL_MODELS)
  void threeSteps(String name, String task, String attention) {
    ProteinLmTest models = new ProteinLmTest();
    Map<String, NpyArray> golden = models.read(name);
    try (ModelRun run = models.loaded(task, attention, true)) {
      Operand<TInt32> tokens = run.ints();
      Operand<TFloat32> weights = run.floats(2);
      Outputs out = run.performer.apply(run.tf, Inputs.of(tokens), Mode.inference());
      Operand<TFloat32> loss =
          Losses.crossEntropy(run.tf, out.logits(), tokens, weights, VOCABULARY);
      Operand<TFloat32> share = run.floats(0);
      loss = run.tf.math.mul(loss, share);
      AdamW adam =
          AdamW.build(
              run.graph,
              loss.asOutput(),
              run.variables.all(),
              new AdamW.Config(0.9, 0.98, 1e-9, 0, 0));
      run.with(adam.initializer());
      int[] batches = golden.get("batches").ints();
      float[] example = golden.get("finetune_example_weights").floats();
      List<Double> losses = new ArrayList<>();
      for (int step = 0; step < 3; step++) {
        int[] batch = new int[8 * 64];
        float[] weight = new float[8 * 64];
        for (int i = 0; i < batch.length; i++) {
          batch[i] = batches[step * batch.length + i];
          weight[i] = batch[i] == PAD ? 0 : 1;
        }
        // Google divides by the number of tokens, whatever the sequences weigh.
        float tokensOfBatch = 0;
        float weightOfBatch = 0;
        for (int i = 0; i < batch.length; i++) {
          tokensOfBatch += weight[i];
          weight[i] *= step == 0 ? 1 : example[step * 8 + i / 64];
          weightOfBatch += weight[i];
        }
        Map<Operand<?>, NpyArray> feeds = new HashMap<>();
        feeds.put(share, NpyArray.of(new float[] {weightOfBatch / tokensOfBatch}));
        feeds.put(tokens, NpyArray.of(batch, 8, 64));
        feeds.put(weights, NpyArray.of(weight, 8, 64));
        feeds.put(adam.learningRate(), NpyArray.of(new double[] {RATE}));
        losses.add((double) run.run(feeds, List.of(loss), adam.update()).get(0)[0]);
      }
      double first =
          golden.get("finetune_loss_0").floats()[0]
              / golden.get("finetune_denominator_0").ints()[0];
      assertThat(losses.get(0)).isCloseTo(first, offset(1e-4));
      Map<String, NpyArray> expected =
          Names.flax().arrays(golden, "finetune_param_step2/", run.config);
      Map<String, float[]> values = run.values();
      for (String variable : run.trainable()) {
        // This gradient is so small that Adam steps along the noise of Google's (ProteinLmTest).
        boolean isNoise =
            name.equals("lm_relu") && variable.equals("layer_1/attention/query/kernel");
        assertThat(ModelRun.error(values.get(variable), expected.get(variable).floats()))
            .as(variable)
            .isLessThan(isNoise ? 1e-2 : 1e-4);
      }
    }
  }
}
