package dev.performer.checkpoint;

import io.jhdf.api.Group;
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
  private static final Pattern NUMBERED = Pattern.compile("(?:(.*)/)?vars/(\\d+)");
  private static final Pattern TRAINING = Pattern.compile("(optimizer|optimizer_weights)(/.*)?");

  private KerasNames() {}

  static boolean isTrainingState(String place) {
    return TRAINING.matcher(place).matches() || place.endsWith("/seed_generator_state");
  }

  /** Keras 2: groups list their weights in the attribute {@code weight_names}. */
  static Map<String, String> ofWeightNames(Hdf5Tensors contents) {
    Map<String, String> names = new HashMap<>();
    Set<String> seen = new HashSet<>();
    Set<String> twice = new HashSet<>();
    Set<String> places = contents.infos().keySet();
    for (Map.Entry<String, Group> group : contents.groups().entrySet()) {
      for (String weight : contents.texts(group.getValue(), "weight_names")) {
        String place = group.getKey() + "/" + weight;
        if (places.contains(place)) {
          String name = weight.replaceFirst(":0$", "");
          names.put(place, name);
          if (!seen.add(name)) {
            twice.add(name);
          }
        }
      }
    }
    names.values().removeAll(twice); // the paths tell those apart
    return names;
  }

  /** Keras 3: the group {@code vars} of a layer has its name as an attribute. */
  static Map<String, String> ofLayerNames(
      Hdf5Tensors contents, SortedMap<String, WeightFile.Info> tensors) {
    Map<String, String> names = new HashMap<>();
    for (Map.Entry<String, WeightFile.Info> tensor : tensors.entrySet()) {
      Matcher numbered = NUMBERED.matcher(tensor.getKey());
      if (numbered.matches() && numbered.group(1) != null) {
        String layer = numbered.group(1);
        String weight = weight(layer, Integer.parseInt(shorten(numbered.group(2))), tensors);
        layerName(contents, layer).ifPresent(n -> names.put(tensor.getKey(), n + "/" + weight));
      }
    }
    return names;
  }

  private static String shorten(String digits) {
    return digits.length() > 6 ? digits.substring(0, 6) : digits;
  }

  private static Optional<String> layerName(Hdf5Tensors contents, String layer) {
    StringBuilder name = new StringBuilder();
    for (int end = layer.indexOf('/'); ; end = layer.indexOf('/', end + 1)) {
      String ancestor = end < 0 ? layer : layer.substring(0, end);
      Optional<Group> vars = contents.group(ancestor + "/vars");
      String[] own = vars.map(g -> contents.texts(g, "name")).orElse(new String[0]);
      if (own.length == 1) {
        name.append(name.isEmpty() ? "" : "/").append(own[0]);
      } else if (end < 0) {
        return Optional.empty();
      }
      if (end < 0) {
        return Optional.of(name.toString());
      }
    }
  }

  /** Keras numbers weights in the order of their creation; what they are, their shapes tell. */
  private static String weight(
      String layer, int number, SortedMap<String, WeightFile.Info> tensors) {
    WeightFile.Info first = tensors.get(layer + "/vars/0");
    boolean isPair = tensors.containsKey(layer + "/vars/1");
    boolean isVector = first != null && first.shape().length == 1;
    if (number > 1 || first == null) {
      return "vars/" + number;
    }
    if (isVector) {
      return number == 0 ? "gamma" : "beta";
    }
    if (!isPair && first.shape().length == 2) {
      return "embeddings";
    }
    return number == 0 ? "kernel" : "bias";
  }
}
