package dev.performer.model;

import dev.performer.data.NpyArray;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.nn.Dropout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Models of every kind that are quick to run, and their inputs. */
final class SmallModels {
  static final String SMALL =
      "vocabularySize: 29, hiddenSize: 16, heads: 4, layers: 2, mlpSize: 24, maxLength: 40";

  static List<String> models() {
    return List.of(
        "{task: masked-lm, %s}",
        "{preset: protein-lm, %s}",
        "{task: causal-lm, %s, attention: {kernel: relu, exactHeads: 1}}",
        "{task: causal-lm, %s, attention: {reformer: {buckets: 4, chunk: 4}}, dropout: {attention: 0.1}}",
        "{task: classification, %s, classes: 3, attention: {linformer: {rank: 3}}, dropout: {attention: 0.1}}",
        "{preset: kernel-encoder, %s, classes: 3, attention: {modelGarden: {numRandomFeatures: 8}}}",
        "{preset: bert, %s, classes: 2}",
        "{preset: lra-encoder, %s, classToken: true, pooling: cls, classifierSizes: [8]}",
        "{task: regression, %s, pooling: max, positions: sinusoidal, attention: {kernel: favor++, features: 8}}",
        "{task: sequence-to-sequence, %s, decoderLayers: 2, shiftBos: 25, activation: silu}",
        "{task: sequence-to-sequence, %s, decoderLayers: 1, tiedOutput: true, attention: {exact: true},"
            + " positions: learned, normalization: {position: post, embeddings: true}}");
  }

  static PerformerConfig config(String keys) {
    return Json.config(keys.formatted(SMALL));
  }

  static NpyArray tokens(int rows, int length, long seed) {
    Random random = new Random(seed);
    return NpyArray.of(random.ints((long) rows * length, 0, 20).toArray(), rows, length);
  }

  record Built(Map<Operand<?>, NpyArray> feeds, Inputs inputs, Outputs out) {}

  static Built build(ModelRun run, Dropout drop, int rows, int length) {
    Map<Operand<?>, NpyArray> feeds = new HashMap<>();
    Operand<TInt32> tokens = run.ints();
    feeds.put(tokens, tokens(rows, length, 1));
    Inputs inputs = Inputs.of(tokens);
    if (run.config.decoderLayers() > 0) {
      Operand<TInt32> decoder = run.ints();
      feeds.put(decoder, tokens(rows, length + 3, 2));
      inputs = inputs.withDecoder(decoder, null);
    }
    return new Built(feeds, inputs, run.performer.apply(run.tf, inputs, drop));
  }

  /** Everything that an optimizer could want the gradient of. */
  static Operand<TFloat32> loss(ModelRun run, Outputs out) {
    List<Operand<TFloat32>> parts = new ArrayList<>();
    for (Operand<TFloat32> x : Arrays.asList(out.logits(), out.classLogits())) {
      if (x != null) {
        parts.add(x);
      }
    }
    if (out.logits() == null || run.config.pooler()) {
      parts.add(out.pooled());
    }
    List<Operand<TFloat32>> sums = new ArrayList<>();
    for (Operand<TFloat32> x : parts) {
      Operand<TFloat32> flat = run.tf.reshape(x, run.tf.constant(new int[] {-1}));
      sums.add(run.tf.math.mean(run.tf.math.square(flat), run.tf.constant(0)));
    }
    return run.tf.math.addN(sums);
  }

  private SmallModels() {}
}
