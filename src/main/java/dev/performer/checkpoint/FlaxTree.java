package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * The leaves of a msgpack tree by their paths, and the maps that are empty: those tell of modules
 * without parameters.
 */
final class FlaxTree {
  final SortedMap<String, FlaxLeaf> leaves = new TreeMap<>();
  final Set<String> emptyMaps = new TreeSet<>();

  void put(String path, FlaxLeaf leaf) {
    if (leaves.put(path, leaf) != null) {
      throw new PerformerException("two tensors are named " + path);
    }
  }
}
