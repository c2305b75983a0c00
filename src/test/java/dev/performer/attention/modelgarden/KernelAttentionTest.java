package dev.performer.attention.modelgarden;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.attention.FeatureMap;
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
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Every case that Model Garden's own code computed for its KernelAttention layer. */
class KernelAttentionTest {
  private static final double TOLERANCE = 2e-5;
  private static final List<String> WEIGHTS =
      List.of("Wq", "bq", "Wk", "bk", "Wv", "bv", "Wo", "bo", "Wo2", "bo2");

  private final Golden golden = Golden.folder("tfm");

  @TestFactory
  Stream<DynamicTest> features() {
    return golden
        .cases("features_")
        .map(c -> DynamicTest.dynamicTest(c.get("name").asText(), () -> checkFeatures(c)));
  }

  private void checkFeatures(JsonNode c) {
    Map<String, NpyArray> arrays = golden.arrays(c);
    KernelAttentionConfig config =
        KernelAttentionConfig.ofKeras(
            Map.of("feature_transform", c.get("params").get("transform").asText()));
    try (FedGraph graph = new FedGraph()) {
      Ops tf = graph.tf;
      Operand<TFloat32> data = headsFirst(tf, graph.feed(arrays.get("data")));
      Operand<TFloat32> other = headsFirst(tf, graph.feed(arrays.get("other")));
      NpyArray p = arrays.get("P");
      FeatureMap map =
          KernelAttention.featureMap(config.kernel(), p == null ? null : graph.feed(p));
      List<float[]> phi =
          graph.run(
              List.of(
                  headsFirst(tf, map.map(tf, data, other, null).queries()),
                  headsFirst(tf, map.map(tf, other, data, null).keys())));
      assertClose(c, "phi_query", phi.get(0), arrays, TOLERANCE);
      assertClose(c, "phi_key", phi.get(1), arrays, TOLERANCE);
    }
  }

  private static Operand<TFloat32> headsFirst(Ops tf, Operand<TFloat32> x) {
    return tf.linalg.transpose(x, tf.constant(new int[] {0, 2, 1, 3}));
  }

  @TestFactory
  Stream<DynamicTest> layers() {
    return golden
        .cases("layer_")
        .map(c -> DynamicTest.dynamicTest(c.get("name").asText(), () -> checkLayer(c, 0)));
  }

  @TestFactory
  Stream<DynamicTest> layersThatDoNotKnowBatchAndLength() {
    return golden
        .cases("layer_")
        .filter(c -> c.get("name").asText().matches(".*(causal|begin|short|length|cross).*"))
        .map(c -> DynamicTest.dynamicTest(c.get("name").asText(), () -> checkLayer(c, 2)));
  }

  private void checkLayer(JsonNode c, int unknownSizes) {
    Map<String, NpyArray> arrays = golden.arrays(c);
    KernelAttentionConfig config = config(c.get("params").get("config"));
    try (FedGraph graph = new FedGraph()) {
      Map<String, Operand<TFloat32>> in = new LinkedHashMap<>();
      for (String name : List.of("x", "src", "key_in", "mask")) {
        if (arrays.containsKey(name)) {
          in.put(name, graph.feed(arrays.get(name), unknownSizes));
        }
      }
      Map<String, Operand<TFloat32>> weights = weights(graph, arrays);
      Operand<TFloat32> projection = arrays.containsKey("P") ? graph.feed(arrays.get("P")) : null;
      Operand<TFloat32> source = in.getOrDefault("src", in.get("x"));
      Operand<TFloat32> out =
          new KernelLayer(config, weights)
              .call(
                  graph.tf,
                  in.get("x"),
                  in.getOrDefault("key_in", source),
                  source,
                  in.get("mask"),
                  projection);
      Map<String, Operand<?>> fetches = new LinkedHashMap<>();
      fetches.put("out", out);
      if (unknownSizes == 0 && arrays.containsKey("g")) {
        in.putAll(weights);
        List<String> names =
            in.keySet().stream().filter(name -> arrays.containsKey("d" + name)).toList();
        var gradients =
            graph.gradients(
                List.of(out),
                List.of(graph.feed(arrays.get("g"), unknownSizes)),
                names.stream().map(in::get).toList());
        for (int i = 0; i < names.size(); i++) {
          fetches.put("d" + names.get(i), gradients.get(i));
        }
      }
      List<float[]> values = graph.run(new ArrayList<>(fetches.values()));
      int i = 0;
      for (String name : fetches.keySet()) {
        assertClose(c, name, values.get(i++), arrays, TOLERANCE);
      }
    }
  }

  private static Map<String, Operand<TFloat32>> weights(
      FedGraph graph, Map<String, NpyArray> arrays) {
    Map<String, Operand<TFloat32>> weights = new LinkedHashMap<>();
    for (String name : WEIGHTS) {
      if (arrays.containsKey(name)) {
        weights.put(name, graph.feed(arrays.get(name)));
      }
    }
    return weights;
  }

  @SuppressWarnings("unchecked")
  static KernelAttentionConfig config(JsonNode keras) {
    return KernelAttentionConfig.ofKeras(new ObjectMapper().convertValue(keras, Map.class));
  }

  private static void assertClose(
      JsonNode c, String name, float[] actual, Map<String, NpyArray> arrays, double tolerance) {
    double noise = c.get("params").path("rel_dev_from_float64_restatement").asDouble(0);
    double deviation = Golden.relativeDeviation(actual, arrays.get(name).floats());
    // The identity's denominators come near zero, and gradients divide by them twice.
    boolean gradient = name.startsWith("d");
    assertThat(deviation)
        .as(name)
        .isLessThanOrEqualTo(Math.max(tolerance, (gradient ? 5 : 1.2) * noise));
  }
}
