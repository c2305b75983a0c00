package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.Labels;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * Any names, by a file of the user's: each of our variables with the name of a tensor, or with
 * {@code {from: NAME, transpose: true or an order of axes, reshape: [sizes]}}. In both {@code {i}}
 * stands for every layer's number, in names of tensors {@code {2i+1}} for one that follows from it,
 * where Keras leaves a {@code _0} out. The key {@code config} may hold the keys of the
 * configuration.
 */
final class MappedNaming implements NamingScheme {
  private static final String CONFIG = "config";
  private static final String LAYER = "{i}";
  private static final Pattern NUMBER = Pattern.compile("\\{(\\d{0,4})i(\\+\\d{1,4})?}");
  private static final Set<String> KEYS = Set.of("from", "transpose", "reshape");

  @Override
  public boolean recognizes(WeightFile file) {
    return false; // only where a mapping file is given
  }

  @Override
  public ModelWeights map(WeightMap map) {
    WeightFile file = map.file;
    Path mapping = map.options.mapping();
    JsonNode tree = object(mapping, "an object that gives a tensor's name for each variable");
    PerformerConfig config = config(tree, map.options);
    for (var entry : tree.properties()) {
      String variable = entry.getKey();
      String where = mapping + ", " + variable + ": ";
      int copies = variable.equals(CONFIG) ? 0 : variable.contains(LAYER) ? config.layers() : 1;
      for (int i = 0; i < copies; i++) {
        String tensor = tensor(file, entry.getValue(), i, where);
        NpyArray array = transposed(file.read(tensor), entry.getValue().path("transpose"), where);
        array = reshaped(array, entry.getValue().path("reshape"), where);
        map.give(variable.replace(LAYER, "" + i), array);
        map.ignore(tensor);
      }
    }
    List<String> rest = map.ignoreRest();
    if (!rest.isEmpty()) {
      map.note("tensors that " + mapping + " does not name were left out: " + Excerpt.names(rest));
    }
    return map.finish(config);
  }

  private static ObjectNode object(Path file, String expected) {
    JsonNode tree = StrictJson.readTree(file);
    require(tree.isObject(), "%s: expected %s", file, expected);
    return (ObjectNode) tree;
  }

  private static PerformerConfig config(JsonNode tree, ImportOptions options) {
    ObjectNode keys = JsonNodeFactory.instance.objectNode();
    if (options.preset() != null) {
      keys.put("preset", options.preset());
    }
    if (tree.path(CONFIG) instanceof ObjectNode own) {
      keys.setAll(own);
    }
    if (options.config() != null) { // replaces what the mapping file has
      keys.setAll(object(options.config(), "an object with the keys of a model"));
    } else if (keys.isEmpty()) {
      throw new PerformerException(
              "%s: names alone tell no model; give a configuration or a preset, or put the keys of the configuration under %s"
                  .formatted(options.mapping(), CONFIG))
          .settledBy("config", "preset");
    }
    return PerformerConfig.of(keys, options.mapping().toString());
  }

  private static String tensor(WeightFile file, JsonNode value, int layer, String where) {
    JsonNode from = value.isTextual() ? value : value.path("from");
    require(from.isTextual(), "%sexpected a tensor's name, or an object with from", where);
    for (var key : value.properties()) {
      require(KEYS.contains(key.getKey()), "%sunknown key %s", where, key.getKey());
    }
    String tensor =
        NUMBER
            .matcher(from.textValue())
            .replaceAll(part -> "" + (number(part.group(1), 1) * layer + number(part.group(2), 0)));
    Set<String> tensors = file.tensors().keySet();
    String bare = tensor.replaceAll("_0(?=/|$)", "");
    if (!tensors.contains(tensor) && tensors.contains(bare)) {
      return bare;
    } else if (!tensors.contains(tensor)) {
      String missing = "%s%s has no tensor %s; did you mean %s?";
      String nearest = Labels.nearest(tensor, tensors);
      throw new PerformerException(missing.formatted(where, file.path(), tensor, nearest));
    }
    return tensor;
  }

  private static int number(String digits, int otherwise) {
    return digits == null || digits.isEmpty() ? otherwise : Integer.parseInt(digits);
  }

  private static NpyArray reshaped(NpyArray array, JsonNode sizes, String where) {
    long[] shape = sizes.isMissingNode() ? array.shape() : numbers(sizes, where + "reshape");
    double elements = Arrays.stream(shape).asDoubleStream().reduce(1, (a, b) -> a * b); // or ∞
    boolean fits = Arrays.stream(shape).allMatch(d -> d >= 0) && elements == array.size();
    require(fits, "%s%s cannot be reshaped to %s", where, array, Arrays.toString(shape));
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
    int[] sorted = IntStream.of(axes).sorted().toArray();
    boolean isOrder = Arrays.equals(sorted, IntStream.range(0, rank).toArray());
    require(isOrder, "%stranspose %s is no order of %s axes", where, Arrays.toString(axes), rank);
    return WeightMap.transposed(array, axes);
  }

  private static long[] numbers(JsonNode node, String where) {
    require(node.isArray(), "%s: expected a list of whole numbers", where);
    return StrictJson.bind(node, long[].class, where);
  }
}
