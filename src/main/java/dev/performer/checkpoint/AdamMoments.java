package dev.performer.checkpoint;

import dev.performer.data.NpyArray;
import java.util.Arrays;
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

  /** The state by our names, from each trained variable's tensor; empty if it is not all there. */
  Optional<OptimizerState> state(Map<String, String> sources, Map<String, NpyArray> weights) {
    Map<String, String> names = new TreeMap<>();
    file.trainingState().keySet().forEach(tensor -> names.put(tensor, file.variable(tensor)));
    file.tensors().keySet().forEach(tensor -> names.put(tensor, tensor));
    names.keySet().removeAll(sources.values());
    if (names.entrySet().stream().noneMatch(AdamMoments::isOptimizer)) {
      return Optional.empty();
    }
    for (String name : names.values()) {
      if (OTHERS.matcher(name).matches()) {
        return none("it is not Adam's: " + name);
      }
    }
    long step = step(names);
    if (step < 0) {
      return none("the number of its steps is missing");
    }
    Map<String, String[]> moments = named(names);
    if (moments.isEmpty()) {
      moments = new KerasOptimizerOrder(file).moments();
    }
    Map<String, NpyArray> first = new LinkedHashMap<>();
    Map<String, NpyArray> second = new LinkedHashMap<>();
    for (Map.Entry<String, String> source : sources.entrySet()) {
      String tensor = source.getValue();
      String own = file.variable(tensor).replaceFirst("^" + FlaxParameters.TARGET, "");
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
        || name.getKey().startsWith(FlaxParameters.STATE)
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
    WeightFile.Info info = moment == null ? null : info(moment);
    return info != null
        && info.type().contains("float")
        && Arrays.equals(info.shape(), file.tensors().get(tensor).shape());
  }

  /** First and second moment by the variable's tensor or name; null for one that is missing. */
  private static Map<String, String[]> named(Map<String, String> names) {
    Map<String, String[]> pairs = new LinkedHashMap<>();
    names.forEach(
        (tensor, name) -> {
          for (Pattern pattern : NAMES) {
            Matcher moment = pattern.matcher(tensor.contains("/.OPTIMIZER_SLOT/") ? tensor : name);
            if (moment.matches()) {
              String variable = moment.group("of").replaceFirst(":0$", "");
              int which = moment.group("which").matches("m|ema") ? 0 : 1;
              pairs.computeIfAbsent(variable, n -> new String[2])[which] = tensor;
              return;
            }
          }
        });
    return pairs;
  }

  /** The number of updates; below 0 if there is none, or more than one. */
  private long step(Map<String, String> names) {
    Set<Long> found = new HashSet<>();
    names.forEach(
        (tensor, name) -> {
          boolean isStep = STEP.matcher(tensor).matches() || STEP.matcher(name).matches();
          if (isStep && info(tensor).shape().length == 0 && info(tensor).type().contains("int")) {
            found.add(file.read(tensor).longs()[0]);
          }
        });
    return found.size() == 1 ? found.iterator().next() : -1;
  }
}
