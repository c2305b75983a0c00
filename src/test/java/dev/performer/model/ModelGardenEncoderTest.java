package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.NpyArray;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.nn.Dropout;
import dev.performer.testing.ReferenceCase;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Every encoder that Model Garden's own code made: outputs of each block, and all gradients. */
class ModelGardenEncoderTest {

  @TestFactory
  Stream<DynamicTest> encoders() {
    List<ReferenceCase> cases =
        ReferenceCase.all("/reference/tfm").stream()
            .filter(c -> c.name().startsWith("encoder_"))
            .toList();
    assertThat(cases).hasSizeGreaterThan(8);
    return cases.stream().map(c -> DynamicTest.dynamicTest(c.name(), () -> check(c)));
  }

  private static void check(ReferenceCase c) {
    try (ModelRun run = new ModelRun(config(c.index().get("params").get("config")))) {
      Map<String, NpyArray> named = named(c, "var_");
      Map<String, NpyArray> gradients = named(c, "grad_");
      run.load(Names.modelGarden().arrays(named, "", run.config));
      // Projections are drawn from the layers' numbers alone.
      for (int i = 0; c.has("P_" + i); i++) {
        assertThat(run.value("layer_" + i + "/attention/projection"))
            .isEqualTo(c.get("P_" + i).floats());
      }
      Operand<TInt32> tokens = run.ints();
      Operand<TFloat32> mask = run.floats(2);
      Operand<TInt32> types = run.ints();
      Operand<TFloat32> sequenceGradient = run.floats(3);
      Operand<TFloat32> pooledGradient = run.floats(2);
      Outputs out =
          run.performer.apply(
              run.tf, Inputs.of(tokens, mask).withTokenTypes(types), Dropout.none());
      Map<String, Operand<TFloat32>> outputs = new LinkedHashMap<>();
      outputs.put("sequence_output", out.sequence());
      outputs.put("pooled_output", out.pooled());
      for (int i = 0; i < 2; i++) {
        outputs.put("encoder_output_" + i, run.tf.identity(out.layers().get(i).hidden()));
      }
      List<Operand<TFloat32>> fetches = new ArrayList<>(outputs.values());
      Map<Operand<?>, NpyArray> feeds = new LinkedHashMap<>();
      feeds.put(tokens, c.get("input_word_ids"));
      feeds.put(mask, c.get("input_mask"));
      feeds.put(types, c.get("input_type_ids"));
      Map<String, NpyArray> expected = Names.modelGarden().arrays(gradients, "", run.config);
      List<String> names = new ArrayList<>(expected.keySet());
      if (!names.isEmpty()) {
        feeds.put(sequenceGradient, c.get("g_sequence"));
        feeds.put(pooledGradient, c.get("g_pooled"));
        assertThat(names).containsExactlyInAnyOrderElementsOf(run.trainable());
        Operand<TFloat32> loss =
            run.tf.math.add(
                Losses.weighted(run.tf, out.sequence(), sequenceGradient),
                Losses.weighted(run.tf, out.pooled(), pooledGradient));
        fetches.addAll(run.gradients(loss, names).values());
      }
      List<float[]> actual = run.run(feeds, fetches);
      int i = 0;
      for (String name : outputs.keySet()) {
        assertThat(ModelRun.error(actual.get(i++), c.get(name).floats())).as(name).isLessThan(2e-5);
      }
      double scale =
          expected.values().stream().mapToDouble(a -> Math.abs(max(a.floats()))).max().orElse(1);
      for (String name : names) {
        float[] should = expected.get(name).floats();
        // A gradient that is zero but for rounding is measured by the others.
        double floor = Math.max(1, 1e-3 * scale / Math.max(1e-30, max(should)));
        assertThat(ModelRun.error(actual.get(i++), should) / floor)
            .as("gradient of " + name)
            .isLessThan(1e-4);
      }
    }
  }

  private static double max(float[] values) {
    double max = 0;
    for (float value : values) {
      max = Math.max(max, Math.abs(value));
    }
    return max;
  }

  /** Arrays by the name of the variable they are about, scaffolds numbered from 0. */
  private static Map<String, NpyArray> named(ReferenceCase c, String prefix) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    List<String> scaffolds = new ArrayList<>();
    JsonNode variables = c.index().get("params").get("variables");
    for (int i = 0; i < variables.size(); i++) {
      String name = variables.get(i).asText();
      String key = prefix + "%02d".formatted(i);
      String first = name.substring(0, name.indexOf('/'));
      if (first.startsWith("transformer_scaffold")) {
        if (!scaffolds.contains(first)) {
          scaffolds.add(first);
        }
        name = "layer_" + scaffolds.indexOf(first) + name.substring(first.length());
      }
      if (c.has(key)) {
        arrays.put(name, c.get(key));
      }
    }
    return Names.renamed(arrays);
  }

  private static PerformerConfig config(JsonNode keras) {
    ObjectNode keys =
        (ObjectNode)
            Json.of(
                "{preset: kernel-encoder, vocabularySize: 50, hiddenSize: 32, layers: 2, heads: 4,"
                    + " mlpSize: 64, maxLength: 64}");
    ObjectNode garden = keys.putObject("attention").putObject("modelGarden");
    garden.set("numRandomFeatures", keras.get("num_random_features"));
    if (keras.has("feature_transform")) {
      garden.set("featureTransform", keras.get("feature_transform"));
    }
    if (keras.has("begin_kernel")) {
      garden.set("beginKernel", keras.get("begin_kernel"));
    }
    if (keras.has("is_short_seq")) {
      garden.set("isShortSeq", keras.get("is_short_seq"));
    }
    if (keras.path("norm_first").asBoolean()) {
      keys.putObject("normalization").put("position", "pre-query");
    }
    return PerformerConfig.of(keys, "test");
  }
}
