package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Where a Flax checkpoint has its parameters: in a tree of them alone, or in the {@code target} of
 * an optimizer, beside its {@code state}.
 *
 * @param prefix of every parameter, such as {@code target/params/}
 */
record FlaxParameters(WeightFile file, String prefix) {
  static final String TARGET = "target/";
  static final String STATE = "state/";

  /** The place of the one parameter whose path ends so; empty if there is none. */
  static Optional<FlaxParameters> find(WeightFile file, String last) {
    return file.tensors().keySet().stream()
        .filter(name -> name.equals(last) || name.endsWith("/" + last))
        .filter(name -> !name.startsWith(STATE))
        .map(name -> new FlaxParameters(file, name.substring(0, name.length() - last.length())))
        .findFirst();
  }

  /** As {@link #find}, but it must be there, and no preset but this one be given. */
  static FlaxParameters of(WeightFile file, String last, ImportOptions options, String preset) {
    if (options.preset() != null && !options.preset().equals(preset)) {
      throw new PerformerException(
              "%s: preset %s does not fit its names; use the preset %s or none"
                  .formatted(file.path(), options.preset(), preset))
          .settledBy("preset");
    }
    return find(file, last)
        .orElseThrow(() -> new PerformerException(file.path() + " has no " + last));
  }

  /** Tensors by their names without the prefix. */
  Map<String, String> names() {
    Map<String, String> names = new TreeMap<>();
    for (String tensor : file.tensors().keySet()) {
      if (tensor.startsWith(prefix) && !(prefix.isEmpty() && tensor.startsWith(STATE))) {
        names.put(tensor.substring(prefix.length()), tensor);
      }
    }
    return names;
  }

  /** Tells the map that the optimizer's own tensors are known. */
  void ignoreState(WeightMap map) {
    if (prefix.startsWith(TARGET)) {
      file.tensors().keySet().stream().filter(n -> n.startsWith(STATE)).forEach(map::ignore);
    }
  }
}
