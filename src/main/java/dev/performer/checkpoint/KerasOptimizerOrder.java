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
final class KerasOptimizerOrder {
  private static final Pattern NUMBERED = Pattern.compile("optimizer/(?:.*/)?vars/(\\d{1,6})");

  /** The order in which Keras' layers make their parts and weights. */
  private static final List<String> ORDER =
      List.of(
          "query key value attention_output output kernel gamma embeddings bias beta".split(" "));

  private KerasOptimizerOrder() {}

  /**
   * First and second moment of each tensor of the model; empty if their order cannot be known, or
   * they are not Adam's.
   */
  static Map<String, String[]> of(WeightFile file) {
    List<String> moments = moments(file);
    JsonNode config = file.modelConfig().orElse(null);
    if (config == null || moments.size() != 2 * file.tensors().size() || !isAdam(config)) {
      return Map.of();
    }
    Map<String, List<String>> layers = layers(file);
    Map<String, String[]> pairs = new HashMap<>();
    int next = 0;
    for (JsonNode layer : config.path("config").path("layers")) {
      List<String> left = layers.remove(layerName(layer));
      for (int n = left == null ? 0 : left.size(); n > 0; n--) {
        String first = moments.get(next++);
        String second = moments.get(next++);
        String tensor = take(file, left, first, second);
        if (tensor == null) {
          return Map.of();
        }
        pairs.put(tensor, new String[] {first, second});
      }
    }
    return layers.isEmpty() ? pairs : Map.of();
  }

  private static String layerName(JsonNode layer) {
    return layer.has("name")
        ? layer.path("name").asText()
        : layer.path("config").path("name").asText();
  }

  private static List<String> moments(WeightFile file) {
    Map<Integer, String> byNumber = new TreeMap<>();
    for (String tensor : file.trainingState().keySet()) {
      Matcher numbered = NUMBERED.matcher(tensor);
      if (numbered.matches()) {
        byNumber.put(Integer.valueOf(numbered.group(1)), tensor);
      }
    }
    // First come the number of steps and, in Keras 3, the learning rate.
    return byNumber.entrySet().stream()
        .filter(e -> e.getKey() > 1 || shape(file, e.getValue()).length > 0)
        .map(Map.Entry::getValue)
        .toList();
  }

  private static boolean isAdam(JsonNode config) {
    String name = config.path("compile_config").path("optimizer").path("class_name").asText("Adam");
    return name.replaceFirst(".*>", "").matches("AdamW?");
  }

  /** Tensors by the layer they are in, in the order of their making as far as it is known. */
  private static Map<String, List<String>> layers(WeightFile file) {
    Map<String, List<String>> layers = new TreeMap<>();
    for (String tensor : file.tensors().keySet()) {
      String name = file.variable(tensor);
      layers.computeIfAbsent(name.replaceFirst("/.*", ""), n -> new ArrayList<>()).add(tensor);
    }
    Comparator<String> byRank = (a, b) -> Arrays.compare(ranks(file, a), ranks(file, b));
    layers.values().forEach(tensors -> tensors.sort(byRank));
    return layers;
  }

  private static int[] ranks(WeightFile file, String tensor) {
    String[] parts = file.variable(tensor).split("/");
    return Arrays.stream(parts).mapToInt(ORDER::indexOf).toArray();
  }

  /** The first tensor of these shapes; null if there is none, or another one is as likely. */
  private static String take(WeightFile file, List<String> left, String first, String second) {
    List<String> fitting =
        left.stream()
            .filter(
                tensor ->
                    Arrays.equals(shape(file, tensor), shape(file, first))
                        && Arrays.equals(shape(file, tensor), shape(file, second)))
            .toList();
    boolean isClear =
        fitting.size() == 1
            || fitting.size() > 1
                && !Arrays.equals(ranks(file, fitting.get(0)), ranks(file, fitting.get(1)));
    if (!isClear) {
      return null;
    }
    left.remove(fitting.get(0));
    return fitting.get(0);
  }

  private static long[] shape(WeightFile file, String tensor) {
    WeightFile.Info info = file.tensors().get(tensor);
    return (info == null ? file.trainingState().get(tensor) : info).shape();
  }
}
