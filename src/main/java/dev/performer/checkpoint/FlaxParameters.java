package dev.performer.checkpoint;

import dev.performer.data.NpyArray;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Where a Flax checkpoint has its parameters, and Adam's moments of them: either a tree of
 * parameters alone, or an optimizer with {@code target} and {@code state}.
 *
 * @param file the checkpoint
 * @param prefix of every parameter, such as {@code target/params/}
 */
record FlaxParameters(WeightFile file, String prefix) {
  private static final String TARGET = "target/";
  private static final String STATE = "state/";

  /** The place of the one parameter whose path ends so; empty if there is none. */
  static Optional<FlaxParameters> find(WeightFile file, String last) {
    return file.tensors().keySet().stream()
        .filter(name -> name.equals(last) || name.endsWith("/" + last))
        .filter(name -> !name.startsWith(STATE))
        .map(name -> new FlaxParameters(file, name.substring(0, name.length() - last.length())))
        .findFirst();
  }

  /** Tells the map that the optimizer's own tensors are known. */
  void ignoreState(WeightMap map) {
    if (prefix.startsWith(TARGET)) {
      file.tensors().keySet().stream().filter(n -> n.startsWith(STATE)).forEach(map::ignore);
    }
  }

  /**
   * Adam's state, by our names.
   *
   * @param names from our variables to parameters without the prefix
   * @param weights what the moments must have the shapes of
   * @return empty if there is none, or not all of it: then the map gets a note
   */
  Optional<OptimizerState> optimizer(
      Map<String, String> names, Map<String, NpyArray> weights, WeightMap map) {
    if (!prefix.startsWith(TARGET) || !file.tensors().containsKey(STATE + "step")) {
      return Optional.empty();
    }
    String states = STATE + "param_states/" + prefix.substring(TARGET.length());
    Map<String, NpyArray> first = new LinkedHashMap<>();
    Map<String, NpyArray> second = new LinkedHashMap<>();
    for (Map.Entry<String, String> e : names.entrySet()) {
      NpyArray weight = weights.get(e.getKey());
      NpyArray mean = moment(states + e.getValue() + "/grad_ema", weight);
      NpyArray square = moment(states + e.getValue() + "/grad_sq_ema", weight);
      if (mean == null || square == null) {
        map.note("Adam's moments of " + e.getValue() + " are missing; the optimizer begins anew");
        return Optional.empty();
      }
      first.put(e.getKey(), mean);
      second.put(e.getKey(), square);
    }
    NpyArray step = file.read(STATE + "step");
    boolean isNumber = step.size() == 1 && !step.type().label().startsWith("float");
    if (!isNumber || step.longs()[0] < 0) {
      map.note("the optimizer's step is no number of steps; the optimizer begins anew");
      return Optional.empty();
    }
    return Optional.of(new OptimizerState(step.longs()[0], first, second));
  }

  private NpyArray moment(String name, NpyArray weight) {
    WeightFile.Info info = file.tensors().get(name);
    if (info == null
        || weight == null
        || !info.type().contains("float")
        || Arrays.stream(info.shape()).reduce(1, (a, b) -> a * b) != weight.size()) {
      return null;
    }
    return NpyArray.of(file.read(name).floats(), weight.shape());
  }
}
