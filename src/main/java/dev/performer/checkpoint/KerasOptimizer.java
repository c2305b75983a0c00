package dev.performer.checkpoint;

import dev.performer.data.NpyArray;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Adam's moments in what Keras saves, by the names that each of its optimizers gives them: slots of
 * variables ({@code …/.OPTIMIZER_SLOT/optimizer/m}), names with the variable's inside ({@code
 * Adam/m/dense/kernel}, {@code Adam/dense/kernel/m}), or numbers alone.
 *
 * @param file the checkpoint
 * @param note gets a line if the moments are of no use
 */
record KerasOptimizer(WeightFile file, Consumer<String> note) {
  private static final Pattern SLOT =
      Pattern.compile("(.+)/\\.OPTIMIZER_SLOT/[^/]+(?:/.+)?/([mv])");
  private static final Pattern NEW_NAME = Pattern.compile("(?:.*/)?Adam(?:W|_\\d+)*/([mv])/(.+)");
  private static final Pattern OLD_NAME =
      Pattern.compile("(?:.*/)?Adam(?:W|WeightDecay|_\\d+)*/(.+)/([mv])");
  private static final Pattern OTHERS =
      Pattern.compile(
          "(?:.*/)?(Adamax|Nadam|LAMB|Lamb|Adafactor|SGD|RMSprop|Ftrl|Lion)(_\\d+)?/.*");
  private static final Pattern STEP =
      Pattern.compile(
          "(?:.*/)?(?:_?optimizer|optimizer_weights)/(?:.*/)?(?:_?iter(?:ation)?s?|vars/0)(?::0)?");
  private static final Pattern STEP_NAME =
      Pattern.compile("(?:(?:.*/)?Adam(?:W|WeightDecay|_\\d+)*/)?iter(?:ation)?s?(?::0)?");

  /**
   * The state by our names.
   *
   * @param sources tensor of each of our variables that can be trained
   * @param weights what the moments must have the shapes of
   * @return empty if there is none, or not all of it
   */
  Optional<OptimizerState> state(Map<String, String> sources, Map<String, NpyArray> weights) {
    if (file.trainingState().keySet().stream().noneMatch(name -> name.contains("ptimizer"))
        && names().values().stream().noneMatch(name -> name.startsWith("Adam"))) {
      return Optional.empty();
    }
    Optional<String> other =
        names().values().stream().filter(name -> OTHERS.matcher(name).matches()).findFirst();
    if (other.isPresent()) {
      return none("it is not Adam's: " + other.get());
    }
    Optional<Long> step = step();
    if (step.isEmpty()) {
      return none("the number of its steps is missing");
    }
    Map<String, String[]> moments = named();
    if (moments.isEmpty()) {
      moments = KerasOptimizerOrder.of(file);
    }
    Map<String, NpyArray> first = new LinkedHashMap<>();
    Map<String, NpyArray> second = new LinkedHashMap<>();
    for (Map.Entry<String, String> source : sources.entrySet()) {
      String tensor = source.getValue();
      String[] pair = moments.get(tensor);
      if (pair == null) {
        pair = moments.get(file.variable(tensor));
      }
      long[] shape = weights.get(source.getKey()).shape();
      if (pair == null || !fits(pair[0], tensor) || !fits(pair[1], tensor)) {
        return none("it has no moments of " + tensor);
      }
      first.put(source.getKey(), NpyArray.of(file.read(pair[0]).floats(), shape));
      second.put(source.getKey(), NpyArray.of(file.read(pair[1]).floats(), shape));
    }
    return Optional.of(new OptimizerState(step.get(), first, second));
  }

  private Optional<OptimizerState> none(String why) {
    note.accept("the optimizer's state was left out, " + why + "; it would begin anew");
    return Optional.empty();
  }

  private boolean fits(String moment, String tensor) {
    WeightFile.Info info = moment == null ? null : file.trainingState().get(moment);
    return info != null
        && info.type().contains("float")
        && Arrays.equals(info.shape(), file.tensors().get(tensor).shape());
  }

  /** Tensors of the training state, and the names that their variables had. */
  private Map<String, String> names() {
    Map<String, String> names = new LinkedHashMap<>();
    file.trainingState().keySet().forEach(tensor -> names.put(tensor, file.variable(tensor)));
    return names;
  }

  /** First and second moment by the variable's tensor or name; null for one that is missing. */
  private Map<String, String[]> named() {
    Map<String, String[]> pairs = new LinkedHashMap<>();
    names()
        .forEach(
            (tensor, name) -> {
              Matcher slot = SLOT.matcher(tensor);
              Matcher newer = NEW_NAME.matcher(name);
              Matcher older = OLD_NAME.matcher(name);
              if (slot.matches()) {
                put(pairs, slot.group(1), slot.group(2), tensor);
              } else if (newer.matches()) {
                put(pairs, newer.group(2), newer.group(1), tensor);
              } else if (older.matches()) {
                put(pairs, older.group(1), older.group(2), tensor);
              }
            });
    return pairs;
  }

  private static void put(
      Map<String, String[]> pairs, String variable, String which, String tensor) {
    String name = variable.replaceFirst(":0$", "");
    pairs.computeIfAbsent(name, n -> new String[2])[which.equals("m") ? 0 : 1] = tensor;
  }

  private Optional<Long> step() {
    List<Long> found = new ArrayList<>();
    names()
        .forEach(
            (tensor, name) -> {
              boolean isStep = STEP.matcher(tensor).matches() || STEP_NAME.matcher(name).matches();
              WeightFile.Info info = file.trainingState().get(tensor);
              if (isStep && info.shape().length == 0 && info.type().contains("int")) {
                found.add(file.read(tensor).longs()[0]);
              }
            });
    return found.stream().distinct().count() == 1 && found.get(0) >= 0
        ? Optional.of(found.get(0))
        : Optional.empty();
  }
}
