package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.checkpoint.FlaxCheckpoint.Parameters;
import dev.performer.checkpoint.ModelWeights.OptimizerState;
import dev.performer.data.NpyArray;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Adam's moments in what Flax and Keras save, by the names that each of their optimizers gives
 * them: beside Flax' parameters, in slots of variables ({@code …/.OPTIMIZER_SLOT/optimizer/m}),
 * around or behind the variable's name ({@code Adam/m/dense/kernel}), or under numbers alone.
 *
 * @param note gets a line if the moments are of no use
 */
record AdamMoments(WeightFile file, Consumer<String> note) {
  private static final List<Pattern> NAMES =
      List.of(
          Pattern.compile("state/param_states/(?<of>.+)/grad_(?<which>ema|sq_ema)"),
          Pattern.compile("(?<of>.+)/\\.OPTIMIZER_SLOT/[^/]+(?:/.+)?/(?<which>[mv])"),
          Pattern.compile("(?:.*/)?Adam(?:W|_\\d+)*/(?<which>[mv])/(?<of>.+)"),
          Pattern.compile("(?:.*/)?Adam(?:W|WeightDecay|_\\d+)*/(?<of>.+)/(?<which>[mv])"));
  private static final Pattern OTHERS =
      Pattern.compile(
          "(?:.*/)?(Adamax|Nadam|LAMB|Lamb|Adafactor|SGD|RMSprop|Ftrl|Lion)(_\\d+)?/.*");
  private static final Pattern STEP =
      Pattern.compile(
          "state/step|(?:.*/)?_?optimizer(?:_weights)?/(?:.*/)?(?:_?iter(?:ation)?s?|vars/0)(?::0)?"
              + "|(?:(?:.*/)?Adam(?:W|WeightDecay|_\\d+)*/)?iter(?:ation)?s?(?::0)?");
  private static final Pattern NUMBERED = Pattern.compile("optimizer/(?:.*/)?vars/(\\d{1,6})");

  /** The order in which Keras' layers make their parts and weights. */
  private static final List<String> ORDER =
      List.of(
          "query key value attention_output output kernel gamma embeddings bias beta".split(" "));

  /** The state by our names, from each trained variable's tensor; empty if it is not all there. */
  Optional<OptimizerState> state(Map<String, String> sources, Map<String, NpyArray> weights) {
    Map<String, String> names = new TreeMap<>();
    file.trainingState().keySet().forEach(tensor -> names.put(tensor, file.variable(tensor)));
    file.tensors().keySet().forEach(tensor -> names.put(tensor, tensor));
    names.keySet().removeAll(sources.values());
    if (names.entrySet().stream().noneMatch(AdamMoments::isOptimizer)) {
      return Optional.empty();
    }
    var other = names.values().stream().filter(OTHERS.asMatchPredicate()).findFirst();
    if (other.isPresent()) {
      return none("it is not Adam's: " + other.get());
    }
    long step = step(names);
    if (step < 0) {
      return none("the number of its steps is missing");
    }
    Map<String, String[]> moments = named(names);
    moments = moments.isEmpty() ? numbered() : moments;
    Map<String, NpyArray> first = new LinkedHashMap<>();
    Map<String, NpyArray> second = new LinkedHashMap<>();
    for (Map.Entry<String, String> source : sources.entrySet()) {
      String tensor = source.getValue();
      String own = file.variable(tensor).replaceFirst("^" + Parameters.TARGET, "");
      String[] pair = moments.getOrDefault(tensor, moments.get(own));
      long[] shape = weights.get(source.getKey()).shape();
      if (pair == null || !fits(pair[0], tensor) || !fits(pair[1], tensor)) {
        return none("it has no moments of " + tensor);
      }
      first.put(source.getKey(), NpyArray.of(file.read(pair[0]).floats(), shape));
      second.put(source.getKey(), NpyArray.of(file.read(pair[1]).floats(), shape));
    }
    return Optional.of(new OptimizerState(step, first, second));
  }

  private static boolean isOptimizer(Map.Entry<String, String> name) {
    return name.getKey().contains("ptimizer")
        || name.getKey().startsWith(Parameters.STATE)
        || name.getValue().startsWith("Adam");
  }

  private Optional<OptimizerState> none(String why) {
    note.accept("the optimizer's state was left out, " + why + "; it would begin anew");
    return Optional.empty();
  }

  private WeightFile.Info info(String tensor) {
    return file.trainingState().getOrDefault(tensor, file.tensors().get(tensor));
  }

  private boolean fits(String moment, String tensor) {
    return moment != null && info(moment).type().contains("float") && isAlike(moment, tensor);
  }

  private boolean isAlike(String moment, String tensor) {
    return Arrays.equals(info(moment).shape(), info(tensor).shape());
  }

  /** First and second moment by the variable's tensor or name; null for one that is missing. */
  private static Map<String, String[]> named(Map<String, String> names) {
    Map<String, String[]> pairs = new LinkedHashMap<>();
    for (Map.Entry<String, String> name : names.entrySet()) {
      String tensor = name.getKey();
      String place = tensor.contains("/.OPTIMIZER_SLOT/") ? tensor : name.getValue();
      var moment = NAMES.stream().map(n -> n.matcher(place)).filter(Matcher::matches).findFirst();
      if (moment.isPresent()) {
        String variable = moment.get().group("of").replaceFirst(":0$", "");
        int which = moment.get().group("which").matches("m|ema") ? 0 : 1;
        pairs.computeIfAbsent(variable, n -> new String[2])[which] = tensor;
      }
    }
    return pairs;
  }

  /** The number of updates; below 0 if there is none, or more than one. */
  private long step(Map<String, String> names) {
    Set<Long> found = new HashSet<>();
    for (String tensor : names.keySet()) {
      boolean isStep = STEP.matcher(tensor).matches() || STEP.matcher(names.get(tensor)).matches();
      if (isStep && info(tensor).shape().length == 0 && info(tensor).type().contains("int")) {
        found.add(file.read(tensor).longs()[0]);
      }
    }
    return found.size() == 1 ? found.iterator().next() : -1;
  }

  /**
   * Moments that have numbers alone, as in Keras 3: two for each variable in the model's order,
   * which its configuration and the layers' own order tell. Empty if that is unknown, or they are
   * not Adam's.
   */
  private Map<String, String[]> numbered() {
    List<String> moments = byNumber();
    JsonNode config = file.modelConfig;
    boolean isWhole = !config.isMissingNode() && moments.size() == 2 * file.tensors().size();
    if (!isWhole || !isAdam(config)) {
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

  private List<String> byNumber() {
    Map<Integer, String> numbers = new TreeMap<>();
    for (String tensor : file.trainingState().keySet()) {
      Matcher numbered = NUMBERED.matcher(tensor);
      if (numbered.matches()) {
        numbers.put(Integer.valueOf(numbered.group(1)), tensor);
      }
    }
    // First come the number of steps and, in Keras 3, the learning rate.
    numbers.entrySet().removeIf(e -> e.getKey() < 2 && info(e.getValue()).shape().length == 0);
    return List.copyOf(numbers.values());
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
    fitting.removeIf(tensor -> !isAlike(pair[0], tensor) || !isAlike(pair[1], tensor));
    boolean isOne =
        fitting.size() < 2 || !Arrays.equals(ranks(fitting.get(0)), ranks(fitting.get(1)));
    if (fitting.isEmpty() || !isOne) {
      return null;
    }
    left.remove(fitting.get(0));
    return fitting.get(0);
  }
}
