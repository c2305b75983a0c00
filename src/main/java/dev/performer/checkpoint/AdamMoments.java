package dev.performer.checkpoint;

import dev.performer.data.NpyArray;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Adam's moments in what Flax and Keras save, by the names that each of their optimizers gives
 * them: the state beside Flax' parameters, slots of variables ({@code
 * …/.OPTIMIZER_SLOT/optimizer/m}), names with the variable's inside ({@code Adam/m/dense/kernel},
 * {@code Adam/dense/kernel/m}), or numbers alone.
 *
 * @param file the checkpoint
 * @param note gets a line if the moments are of no use
 */
record AdamMoments(WeightFile file, Consumer<String> note) {
  private static final List<Pattern> NAMES =
      List.of(
          Pattern.compile("(?<of>.+)/\\.OPTIMIZER_SLOT/[^/]+(?:/.+)?/(?<which>[mv])"),
          Pattern.compile("(?:.*/)?Adam(?:W|_\\d+)*/(?<which>[mv])/(?<of>.+)"),
          Pattern.compile("(?:.*/)?Adam(?:W|WeightDecay|_\\d+)*/(?<of>.+)/(?<which>[mv])"));
  private static final Pattern OTHERS =
      Pattern.compile(
          "(?:.*/)?(Adamax|Nadam|LAMB|Lamb|Adafactor|SGD|RMSprop|Ftrl|Lion)(_\\d+)?/.*");
  private static final Pattern STEP =
      Pattern.compile(
          "(?:.*/)?(?:_?optimizer|optimizer_weights)/(?:.*/)?(?:_?iter(?:ation)?s?|vars/0)(?::0)?");
  private static final Pattern STEP_NAME =
      Pattern.compile(
          "state/step|(?:(?:.*/)?Adam(?:W|WeightDecay|_\\d+)*/)?iter(?:ation)?s?(?::0)?");
  private static final String FLAX_STEP = FlaxParameters.STATE + "step";

  /**
   * The state by our names.
   *
   * @param sources tensor of each of our variables that can be trained
   * @param weights what the moments must have the shapes of
   * @return empty if there is none, or not all of it
   */
  Optional<OptimizerState> state(Map<String, String> sources, Map<String, NpyArray> weights) {
    boolean isFlax =
        file.tensors().containsKey(FLAX_STEP)
            && sources.values().stream().allMatch(s -> s.startsWith(FlaxParameters.TARGET));
    Map<String, String> names = new LinkedHashMap<>();
    file.trainingState().keySet().forEach(tensor -> names.put(tensor, file.variable(tensor)));
    if (!isFlax
        && names.keySet().stream().noneMatch(name -> name.contains("ptimizer"))
        && names.values().stream().noneMatch(name -> name.startsWith("Adam"))) {
      return Optional.empty();
    }
    for (String name : names.values()) {
      if (OTHERS.matcher(name).matches()) {
        return none("it is not Adam's: " + name);
      }
    }
    long step = step(isFlax ? Map.of(FLAX_STEP, FLAX_STEP) : names);
    if (step < 0) {
      return none("the number of its steps is missing");
    }
    Map<String, String[]> moments =
        isFlax
            ? flax(sources)
            : named(names).orElseGet(() -> new KerasOptimizerOrder(file).moments());
    Map<String, NpyArray> first = new LinkedHashMap<>();
    Map<String, NpyArray> second = new LinkedHashMap<>();
    for (Map.Entry<String, String> source : sources.entrySet()) {
      String tensor = source.getValue();
      String[] pair = moments.getOrDefault(tensor, moments.get(file.variable(tensor)));
      long[] shape = weights.get(source.getKey()).shape();
      if (pair == null || !fits(pair[0], tensor) || !fits(pair[1], tensor)) {
        return none("it has no moments of " + tensor);
      }
      first.put(source.getKey(), NpyArray.of(file.read(pair[0]).floats(), shape));
      second.put(source.getKey(), NpyArray.of(file.read(pair[1]).floats(), shape));
    }
    return Optional.of(new OptimizerState(step, first, second));
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
        && info.isFloat()
        && Arrays.equals(info.shape(), file.tensors().get(tensor).shape());
  }

  private static Map<String, String[]> flax(Map<String, String> sources) {
    Map<String, String[]> pairs = new LinkedHashMap<>();
    for (String tensor : sources.values()) {
      String states = tensor.replaceFirst("^" + FlaxParameters.TARGET, "state/param_states/");
      pairs.put(tensor, new String[] {states + "/grad_ema", states + "/grad_sq_ema"});
    }
    return pairs;
  }

  /** First and second moment by the variable's tensor or name; null for one that is missing. */
  private static Optional<Map<String, String[]>> named(Map<String, String> names) {
    Map<String, String[]> pairs = new LinkedHashMap<>();
    names.forEach(
        (tensor, name) -> {
          for (Pattern pattern : NAMES) {
            Matcher moment = pattern.matcher(pattern == NAMES.get(0) ? tensor : name);
            if (moment.matches()) {
              String variable = moment.group("of").replaceFirst(":0$", "");
              int which = moment.group("which").equals("m") ? 0 : 1;
              pairs.computeIfAbsent(variable, n -> new String[2])[which] = tensor;
              return;
            }
          }
        });
    return pairs.isEmpty() ? Optional.empty() : Optional.of(pairs);
  }

  /** The number of updates; below 0 if there is none, or more than one. */
  private long step(Map<String, String> names) {
    long[] found =
        names.entrySet().stream()
            .filter(
                e ->
                    STEP.matcher(e.getKey()).matches() || STEP_NAME.matcher(e.getValue()).matches())
            .map(Map.Entry::getKey)
            .filter(t -> info(t).shape().length == 0 && info(t).type().contains("int"))
            .mapToLong(tensor -> file.read(tensor).longs()[0])
            .distinct()
            .toArray();
    return found.length == 1 ? found[0] : -1;
  }
}
