package dev.performer.checkpoint;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the weights in Keras' HDF5 files were called in Python. */
final class KerasNames {
  private static final Pattern NUMBERED = Pattern.compile("(.*)/vars/(\\d{1,6})\\d*");

  private KerasNames() {}

  static boolean isTrainingState(String place) {
    return place.matches("(optimizer|optimizer_weights)(/.*)?")
        || place.endsWith("/seed_generator_state");
  }

  /** Keras 2: groups list their weights in the attribute {@code weight_names}. */
  static Map<String, String> ofWeightNames(Hdf5Tensors contents, Set<String> places) {
    Map<String, String> names = new HashMap<>();
    Set<String> seen = new HashSet<>();
    Set<String> twice = new HashSet<>();
    contents
        .groups()
        .forEach(
            (path, group) -> {
              for (String weight : contents.texts(group, "weight_names")) {
                String place = path + "/" + weight;
                String name = weight.replaceFirst(":0$", "");
                if (places.contains(place)) {
                  names.put(place, name);
                  (seen.add(name) ? seen : twice).add(name);
                }
              }
            });
    names.values().removeAll(twice); // the paths tell those apart
    return names;
  }

  /** Keras 3: the group {@code vars} of a layer has its name as an attribute. */
  static Map<String, String> ofLayerNames(
      Hdf5Tensors contents, SortedMap<String, WeightFile.Info> tensors) {
    Map<String, String> names = new HashMap<>();
    for (String tensor : tensors.keySet()) {
      Matcher numbered = NUMBERED.matcher(tensor);
      if (numbered.matches()) {
        String layer = numbered.group(1);
        String weight = weight(layer, Integer.parseInt(numbered.group(2)), tensors);
        layerName(contents, layer).ifPresent(name -> names.put(tensor, name + "/" + weight));
      }
    }
    return names;
  }

  private static Optional<String> layerName(Hdf5Tensors contents, String layer) {
    StringBuilder name = new StringBuilder();
    for (int end = layer.indexOf('/'); ; end = layer.indexOf('/', end + 1)) {
      String ancestor = end < 0 ? layer : layer.substring(0, end);
      String[] own = contents.texts(contents.groups().get(ancestor + "/vars"), "name");
      if (own.length == 1) {
        name.append(name.isEmpty() ? "" : "/").append(own[0]);
      }
      if (end < 0) {
        return own.length == 1 ? Optional.of(name.toString()) : Optional.empty();
      }
    }
  }

  /** Keras numbers weights in the order of their creation; what they are, their shapes tell. */
  private static String weight(
      String layer, int number, SortedMap<String, WeightFile.Info> tensors) {
    WeightFile.Info first = tensors.get(layer + "/vars/0");
    if (number > 1 || first == null) {
      return "vars/" + number;
    }
    int rank = first.shape().length;
    if (rank == 2 && !tensors.containsKey(layer + "/vars/1")) {
      return "embeddings";
    }
    return number == 0 ? (rank == 1 ? "gamma" : "kernel") : rank == 1 ? "beta" : "bias";
  }
}
