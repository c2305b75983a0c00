package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.Labels;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Any names, by a file of the user's (YAML or JSON): each of our variables with the name of a
 * tensor, or with {@code {from: NAME, transpose: true or an order of axes, reshape: [sizes]}}. In
 * both names {@code {i}} stands for every layer's number. The key {@code config} may hold the keys
 * of the configuration.
 */
final class MappedNaming implements NamingScheme {
  private static final String CONFIG = "config";
  private static final String LAYER = "{i}";

  @Override
  public String label() {
    return "mapping file";
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return false; // only where a mapping file is given
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    Path mapping = options.mapping();
    JsonNode tree = StrictJson.readTree(mapping);
    if (tree == null || !tree.isObject()) {
      throw new PerformerException(
          mapping + ": expected an object that gives a tensor's name for each variable");
    }
    PerformerConfig config = config(tree, mapping, options);
    WeightMap map = new WeightMap(file);
    for (Map.Entry<String, JsonNode> entry : tree.properties()) {
      if (entry.getKey().equals(CONFIG)) {
        continue;
      }
      int copies = entry.getKey().contains(LAYER) ? config.layers() : 1;
      IntStream.range(0, copies).forEach(i -> place(map, file, entry, String.valueOf(i), mapping));
    }
    List<String> rest = map.ignoreRest();
    if (!rest.isEmpty()) {
      map.note("tensors that " + mapping + " does not name were left out: " + Excerpt.names(rest));
    }
    return map.finish(label(), config, options.allowMissing());
  }

  private static PerformerConfig config(JsonNode tree, Path mapping, ImportOptions options) {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    if (options.preset() != null) {
      keys.put("preset", options.preset());
    }
    if (tree.path(CONFIG) instanceof ObjectNode own) {
      keys.setAll(own);
    }
    if (keys.isEmpty() && options.config() == null) {
      throw new PerformerException(
              ("%s: names alone tell no model; give a configuration or a preset, or put"
                      + " the keys of the configuration under %s")
                  .formatted(mapping, CONFIG))
          .settledBy("config", "preset");
    }
    if (options.config() != null) {
      if (!(StrictJson.readTree(options.config()) instanceof ObjectNode given)) {
        throw new PerformerException(
            options.config() + ": expected an object with the keys of a model");
      }
      keys.setAll(given); // replaces what the mapping file has
    }
    return PerformerConfig.of(keys, mapping.toString());
  }

  private static void place(
      WeightMap map, WeightFile file, Map.Entry<String, JsonNode> entry, String i, Path mapping) {
    String variable = entry.getKey().replace(LAYER, i);
    String where = mapping + ", " + entry.getKey() + ": ";
    JsonNode value = entry.getValue();
    JsonNode from = value.isTextual() ? value : value.path("from");
    if (!from.isTextual()) {
      throw new PerformerException(where + "expected a tensor's name, or an object with from");
    }
    value
        .properties()
        .forEach(
            key -> {
              if (!List.of("from", "transpose", "reshape").contains(key.getKey())) {
                throw new PerformerException(where + "unknown key " + key.getKey());
              }
            });
    String tensor = from.textValue().replace(LAYER, i);
    if (!file.tensors().containsKey(tensor)) {
      throw new PerformerException(
          "%s%s has no tensor %s; did you mean %s?"
              .formatted(
                  where, file.path(), tensor, Labels.nearest(tensor, file.tensors().keySet())));
    }
    NpyArray array = file.read(tensor);
    array = transposed(array, value.path("transpose"), where);
    map.give(variable, reshaped(array, value.path("reshape"), where));
    map.ignore(tensor);
  }

  private static NpyArray reshaped(NpyArray array, JsonNode sizes, String where) {
    long[] shape = sizes.isMissingNode() ? array.shape() : numbers(sizes, where + "reshape");
    BigInteger elements =
        Arrays.stream(shape)
            .mapToObj(BigInteger::valueOf)
            .reduce(BigInteger.ONE, BigInteger::multiply);
    if (!elements.equals(BigInteger.valueOf(array.size()))
        || Arrays.stream(shape).anyMatch(d -> d < 0)) {
      throw new PerformerException(
          where + array + " cannot be reshaped to " + Arrays.toString(shape));
    }
    return NpyArray.of(array.floats(), shape);
  }

  private static NpyArray transposed(NpyArray array, JsonNode order, String where) {
    int rank = array.shape().length;
    if (order.isMissingNode() || order.isBoolean() && !order.booleanValue()) {
      return array;
    }
    int[] axes =
        order.isBoolean()
            ? IntStream.range(0, rank).map(axis -> rank - 1 - axis).toArray()
            : Arrays.stream(numbers(order, where + "transpose")).mapToInt(a -> (int) a).toArray();
    int[] sorted = axes.clone();
    Arrays.sort(sorted);
    if (!Arrays.equals(sorted, IntStream.range(0, rank).toArray())) {
      throw new PerformerException(
          where + "transpose " + Arrays.toString(axes) + " is no order of " + rank + " axes");
    }
    long[] shape = Arrays.stream(axes).mapToLong(axis -> array.shape()[axis]).toArray();
    long[] strides = new long[rank]; // of the old array, in the new order
    for (int i = 0; i < rank; i++) {
      strides[i] = Arrays.stream(array.shape(), axes[i] + 1, rank).reduce(1, (a, b) -> a * b);
    }
    float[] old = array.floats();
    float[] result = new float[old.length];
    int[] index = new int[rank];
    for (int n = 0; n < result.length; n++) {
      int place = 0;
      for (int i = 0; i < rank; i++) {
        place += (int) (index[i] * strides[i]);
      }
      result[n] = old[place];
      for (int i = rank - 1; i >= 0 && ++index[i] == shape[i]; i--) {
        index[i] = 0;
      }
    }
    return NpyArray.of(result, shape);
  }

  private static long[] numbers(JsonNode node, String where) {
    long[] numbers = new long[node.size()];
    for (int i = 0; i < numbers.length; i++) {
      if (!node.path(i).canConvertToLong() || !node.path(i).isIntegralNumber()) {
        throw new PerformerException(where + ": expected a list of whole numbers");
      }
      numbers[i] = node.path(i).longValue();
    }
    if (!node.isArray()) {
      throw new PerformerException(where + ": expected a list of whole numbers");
    }
    return numbers;
  }
}
