package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Takes tensors out of a file one by one and remembers what is missing or mis-shaped, so that one
 * error lists everything.
 */
final class TensorCollector {
  private static final int LISTED = 40;

  private final WeightFile file;
  private final boolean lenient;
  private final Set<String> unused;
  private final Map<String, NpyArray> weights = new LinkedHashMap<>();
  private final List<String> faults = new ArrayList<>();
  private final List<String> notes = new ArrayList<>();

  /**
   * @param lenient whether faults become notes
   */
  TensorCollector(WeightFile file, boolean lenient) {
    this.file = file;
    this.lenient = lenient;
    unused = new TreeSet<>(file.tensors().keySet());
  }

  /** Whether the file has a tensor. */
  boolean has(String foreign) {
    return file.tensors().containsKey(foreign);
  }

  /** Takes a tensor as it is, for one of our variables. */
  void take(String ours, String foreign, long... shape) {
    NpyArray value = read(foreign, shape);
    if (value != null) {
      put(ours, value);
    }
  }

  /** A tensor of the shape, as float32; null and a fault if it is not there or not so. */
  NpyArray read(String foreign, long... shape) {
    unused.remove(foreign);
    WeightFile.Info info = file.tensors().get(foreign);
    if (info == null) {
      faults.add("missing " + foreign + " " + Arrays.toString(shape));
      return null;
    }
    if (!Arrays.equals(info.shape(), shape)) {
      faults.add(
          foreign
              + " has shape "
              + Arrays.toString(info.shape())
              + ", expected "
              + Arrays.toString(shape));
      return null;
    }
    NpyArray value = file.read(foreign);
    if (value.type() != NpyType.FLOAT32 && value.type() != NpyType.FLOAT64) {
      faults.add(foreign + " has type " + info.type() + ", expected a floating point type");
      return null;
    }
    float[] floats = value.floats();
    for (float f : floats) {
      if (!Float.isFinite(f)) {
        notes.add("Warning: " + foreign + " holds NaN or infinity");
        break;
      }
    }
    return value.type() == NpyType.FLOAT32 ? value : NpyArray.of(floats, shape);
  }

  /** A variable that the file does not hold. */
  void put(String ours, NpyArray value) {
    weights.put(ours, value);
  }

  /** Leaves tensors of a prefix out of the count of superfluous ones. */
  void ignore(String prefix) {
    unused.removeIf(name -> name.startsWith(prefix));
  }

  void note(String note) {
    notes.add(note);
  }

  List<String> notes() {
    return notes;
  }

  /**
   * Everything that was taken.
   *
   * @throws PerformerException that lists all faults, unless they are allowed
   */
  Map<String, NpyArray> finish() {
    List<String> all = new ArrayList<>(faults);
    unused.forEach(name -> all.add("unexpected " + name + " " + file.tensors().get(name)));
    if (all.isEmpty()) {
      return weights;
    }
    String list =
        String.join("; ", all.subList(0, Math.min(LISTED, all.size())))
            + (all.size() > LISTED ? "; and " + (all.size() - LISTED) + " more" : "");
    if (!lenient) {
      throw new PerformerException(
          file.path()
              + ": "
              + all.size()
              + (all.size() == 1 ? " tensor does" : " tensors do")
              + " not fit: "
              + list
              + " (--allow-missing goes on without them)");
    }
    notes.add("Warning: left out or at their initial values: " + list);
    return weights;
  }
}
