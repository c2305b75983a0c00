package dev.performer.attention.modelgarden;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.data.NpyArray;
import dev.performer.testing.FedGraph;
import dev.performer.testing.Golden;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Every case that Model Garden's own code computed for its kernel encoder. */
class KernelEncoderTest {
  private static final double TOLERANCE = 2e-5;

  private final Golden golden = Golden.folder("tfm");

  @TestFactory
  Stream<DynamicTest> encoders() {
    return golden
        .cases("encoder_")
        .map(c -> DynamicTest.dynamicTest(c.get("name").asText(), () -> check(c)));
  }

  private void check(JsonNode c) {
    Map<String, NpyArray> arrays = golden.arrays(c);
    JsonNode keras = c.get("params").get("config");
    List<KernelAttentionConfig> layers = layers(keras);
    try (FedGraph graph = new FedGraph()) {
      List<Operand<TFloat32>> variables = new ArrayList<>();
      List<Operand<TFloat32>> projections = new ArrayList<>();
      arrays.keySet().stream()
          .filter(name -> name.startsWith("var_"))
          .sorted()
          .forEach(name -> variables.add(graph.feed(arrays.get(name))));
      for (int i = 0; arrays.containsKey("P_" + i); i++) {
        NpyArray p = arrays.get("P_" + i);
        projections.add(graph.feed(p));
        assertThat(layers.get(i).projection((int) p.shape()[1]).orElseThrow().values())
            .as("projection of layer " + i)
            .isEqualTo(p.floats());
      }
      KernelEncoder.Outputs outputs =
          new KernelEncoder(layers, keras.path("norm_first").asBoolean(), variables, projections)
              .call(
                  graph.tf,
                  graph.feedInts(arrays.get("input_word_ids")),
                  graph.feedInts(arrays.get("input_mask")),
                  graph.feedInts(arrays.get("input_type_ids")),
                  c.get("params").get("T").asInt());
      Map<String, Operand<?>> fetches = new LinkedHashMap<>();
      for (int i = 0; i < layers.size(); i++) {
        fetches.put("encoder_output_" + i, outputs.layers().get(i));
      }
      fetches.put("pooled_output", outputs.pooled());
      if (arrays.containsKey("g_sequence")) {
        Operand<TFloat32> loss =
            graph.tf.math.add(
                weightedSum(graph, outputs.sequence(), arrays.get("g_sequence")),
                weightedSum(graph, outputs.pooled(), arrays.get("g_pooled")));
        fetches.put("loss", loss);
        List<Output<?>> gradients =
            graph.gradients(List.of(loss), List.of(graph.tf.constant(1f)), variables);
        for (int i = 0; i < variables.size(); i++) {
          fetches.put("grad_%02d".formatted(i), gradients.get(i));
        }
      }
      compare(arrays, fetches.keySet(), graph.run(new ArrayList<>(fetches.values())));
    }
  }

  private static Operand<TFloat32> weightedSum(
      FedGraph graph, Operand<TFloat32> x, NpyArray weights) {
    Ops tf = graph.tf;
    Operand<TFloat32> flat =
        tf.reshape(tf.math.mul(x, graph.feed(weights)), tf.constant(new int[] {-1}));
    return tf.reduceSum(flat, tf.constant(0));
  }

  private static void compare(
      Map<String, NpyArray> arrays, Iterable<String> names, List<float[]> values) {
    int i = 0;
    for (String name : names) {
      assertThat(Golden.relativeDeviation(values.get(i++), arrays.get(name).floats()))
          .as(name)
          .isLessThanOrEqualTo(TOLERANCE);
    }
  }

  @SuppressWarnings("unchecked")
  private static List<KernelAttentionConfig> layers(JsonNode keras) {
    Map<String, Object> arguments = new ObjectMapper().convertValue(keras, Map.class);
    List<KernelAttentionConfig> layers = new ArrayList<>();
    for (int i = 0; i < keras.get("num_layers").asInt(); i++) {
      arguments.put("seed", i);
      layers.add(KernelAttentionConfig.ofKeras(arguments));
    }
    return layers;
  }
}
