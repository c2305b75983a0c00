package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Moments that have numbers alone ({@code optimizer/vars/7}), as in Keras 3: two for each variable
 * in the order in which the model has them, which its configuration and the layers' own order tell.
 */
record KerasOptimizerOrder(WeightFile file) {
  private static final Pattern NUMBERED = Pattern.compile("optimizer/(?:.*/)?vars/(\\d{1,6})");

  /** The order in which Keras' layers make their parts and weights. */
  private static final List<String> ORDER =
      List.of(
          "query key value attention_output output kernel gamma embeddings bias beta".split(" "));

  /** First and second moment of each tensor; empty if their order is unknown, or not Adam's. */
  Map<String, String[]> moments() {
    List<String> moments = numbered();
    JsonNode config = file.modelConfig().orElse(null);
    if (config == null || moments.size() != 2 * file.tensors().size() || !isAdam(config)) {
      return Map.of();
    }
    Map<String, List<String>> layers = layers();
    Map<String, String[]> pairs = new HashMap<>();
    int next = 0;
    for (JsonNode layer : config.path("config").path("layers")) {
      JsonNode name = layer.has("name") ? layer.path("name") : layer.path("config").path("name");
      List<String> left = layers.remove(name.asText());
      while (left != null && !left.isEmpty()) {
        String[] pair = {moments.get(next++), moments.get(next++)};
        String tensor = take(left, pair);
        if (tensor == null) {
          return Map.of();
        }
        pairs.put(tensor, pair);
      }
    }
    return layers.isEmpty() ? pairs : Map.of();
  }

  private List<String> numbered() {
    Map<Integer, String> byNumber = new TreeMap<>();
    for (String tensor : file.trainingState().keySet()) {
      Matcher numbered = NUMBERED.matcher(tensor);
      if (numbered.matches()) {
        byNumber.put(Integer.valueOf(numbered.group(1)), tensor);
      }
    }
    // First come the number of steps and, in Keras 3, the learning rate.
    byNumber.entrySet().removeIf(e -> e.getKey() < 2 && shape(e.getValue()).length == 0);
    return List.copyOf(byNumber.values());
  }

  private static boolean isAdam(JsonNode config) {
    String name = config.path("compile_config").path("optimizer").path("class_name").asText("Adam");
    return name.replaceFirst(".*>", "").matches("AdamW?");
  }

  /** Tensors by the layer they are in, in the order of their making as far as it is known. */
  private Map<String, List<String>> layers() {
    Map<String, List<String>> layers = new TreeMap<>();
    for (String tensor : file.tensors().keySet()) {
      String layer = file.variable(tensor).replaceFirst("/.*", "");
      layers.computeIfAbsent(layer, name -> new ArrayList<>()).add(tensor);
    }
    Comparator<String> byRank = (a, b) -> Arrays.compare(ranks(a), ranks(b));
    layers.values().forEach(tensors -> tensors.sort(byRank));
    return layers;
  }

  private int[] ranks(String tensor) {
    String[] parts = file.variable(tensor).split("/");
    return Arrays.stream(parts).mapToInt(ORDER::indexOf).toArray();
  }

  /** The first tensor of these shapes; null if there is none, or another one is as likely. */
  private String take(List<String> left, String[] pair) {
    List<String> fitting = new ArrayList<>(left);
    fitting.removeIf(
        tensor ->
            !Arrays.equals(shape(tensor), shape(pair[0]))
                || !Arrays.equals(shape(tensor), shape(pair[1])));
    if (fitting.isEmpty()
        || fitting.size() > 1 && Arrays.equals(ranks(fitting.get(0)), ranks(fitting.get(1)))) {
      return null;
    }
    left.remove(fitting.get(0));
    return fitting.get(0);
  }

  private long[] shape(String tensor) {
    return file.tensors().getOrDefault(tensor, file.trainingState().get(tensor)).shape();
  }
}
