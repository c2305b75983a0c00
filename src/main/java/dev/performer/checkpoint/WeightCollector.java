package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;

/**
 * Takes tensors out of a file under our names, and remembers all that is missing, left over or of
 * another shape, so that one error can list it together. Weights come out as float32.
 */
public final class WeightCollector {
  private static final int LISTED = 40;

  private final WeightFile file;
  private final boolean allowMissing;
  private final Map<String, NpyArray> weights = new LinkedHashMap<>();
  private final TreeSet<String> left;
  private final List<String> missing = new ArrayList<>();
  private final List<String> misshaped = new ArrayList<>();
  private final List<String> notFinite = new ArrayList<>();

  /**
   * @param allowMissing whether {@link #finish} goes on with a note instead of failing
   */
  public WeightCollector(WeightFile file, boolean allowMissing) {
    this.file = file;
    this.allowMissing = allowMissing;
    this.left = new TreeSet<>(file.tensors().keySet());
  }

  /** Whether the file has a tensor of that name. */
  public boolean has(String name) {
    return file.tensors().containsKey(name);
  }

  /** Takes a tensor as it is. */
  public void take(String name, String ours, long... shape) {
    take(name, ours, UnaryOperator.identity(), shape, shape);
  }

  /** Takes a tensor that has the same elements in the same order under another shape. */
  public void reshape(String name, String ours, long[] theirs, long... shape) {
    take(name, ours, array -> new NpyArray(array.type(), shape, array.bytes()), theirs, shape);
  }

  /**
   * Takes a tensor and changes it.
   *
   * @param change from what the file holds, as float32, to what we want
   * @param theirs the shape that the file must have
   * @param shape the shape that must come out
   */
  public void take(
      String name, String ours, UnaryOperator<NpyArray> change, long[] theirs, long... shape) {
    WeightFile.Info info = file.tensors().get(name);
    if (info == null) {
      missing.add(name + Arrays.toString(theirs));
      return;
    }
    left.remove(name);
    if (!Arrays.equals(info.shape(), theirs)) {
      misshaped.add(
          name + " is " + Arrays.toString(info.shape()) + ", expected " + Arrays.toString(theirs));
      return;
    }
    NpyArray array = float32(name, file.read(name));
    NpyArray changed = change.apply(array);
    if (!Arrays.equals(changed.shape(), shape)) {
      throw new IllegalStateException(name + " became " + changed + " for " + ours);
    }
    put(ours, changed);
    if (hasNotFinite(array)) {
      notFinite.add(name);
    }
  }

  /** Adds a weight that is in no file, such as a projection that was drawn from a seed. */
  public void put(String ours, NpyArray value) {
    if (weights.putIfAbsent(ours, value) != null) {
      throw new IllegalStateException("two tensors for " + ours);
    }
  }

  /** Says that some tensors are of no use to us, and none of them is left over. */
  public void ignore(Predicate<String> names) {
    left.removeIf(names);
  }

  /**
   * All that was taken.
   *
   * @param notes gets a line for each thing a person should know
   * @throws PerformerException that lists every missing, surplus and mis-shaped tensor
   */
  public Map<String, NpyArray> finish(List<String> notes) {
    List<String> problems = new ArrayList<>();
    describe(problems, "missing", missing);
    describe(problems, "of another shape", misshaped);
    describe(problems, "not known", left.stream().map(n -> n + shape(n)).toList());
    if (!problems.isEmpty()) {
      String all = String.join("; ", problems);
      if (!allowMissing) {
        throw new PerformerException(
            file.path()
                + ": the tensors do not fit the model: "
                + all
                + "; is the configuration right? --allow-missing goes on without them");
      }
      notes.add("went on although the tensors do not fit the model: " + all);
    }
    if (!notFinite.isEmpty()) {
      notes.add("warning: NaN or infinite values in " + listed(notFinite));
    }
    return Collections.unmodifiableMap(new LinkedHashMap<>(weights));
  }

  private String shape(String name) {
    return Arrays.toString(file.tensors().get(name).shape());
  }

  private static void describe(List<String> problems, String what, List<String> names) {
    if (!names.isEmpty()) {
      problems.add(names.size() + " " + what + ": " + listed(names));
    }
  }

  private static String listed(List<String> names) {
    String first = String.join(", ", names.subList(0, Math.min(LISTED, names.size())));
    return names.size() <= LISTED ? first : first + " and " + (names.size() - LISTED) + " more";
  }

  private NpyArray float32(String name, NpyArray array) {
    return switch (array.type()) {
      case FLOAT32 -> array;
      case FLOAT64 -> NpyArray.of(array.floats(), array.shape());
      default ->
          throw new PerformerException(
              file.path()
                  + ": tensor "
                  + name
                  + " holds "
                  + array.type().label()
                  + "; weights must be floating point numbers");
    };
  }

  private static boolean hasNotFinite(NpyArray array) {
    if (array.type() != NpyType.FLOAT32) {
      return false;
    }
    var values = array.buffer().asFloatBuffer();
    for (int i = 0; i < values.limit(); i++) {
      if (!Float.isFinite(values.get(i))) {
        return true;
      }
    }
    return false;
  }
}
