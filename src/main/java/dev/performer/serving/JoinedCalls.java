package dev.performer.serving;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.InputFeed;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SignatureRunner;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.tensorflow.proto.DataType;

/**
 * How calls of one signature become one run and their results are parted again.
 *
 * <p>That a model computes each row by itself, and that padding changes nothing, is proven before
 * it is relied on: the first joined runs are compared with a run of each call alone, whose results
 * are what the callers get. Where they differ, calls of the signature run alone from then on.
 */
final class JoinedCalls {
  private static final int PROOFS = 2;
  private static final int SHORTEST = 16; // of lengths that are padded to one another
  private static final long MOST_BYTES = 256L << 20; // of the outputs of a run
  private static final double SMALL_BYTES = 1 << 16; // of inputs and outputs of a run

  /** Calls of one lane fit together. */
  record Lane(String signature, List<String> outputs, List<Object> shapes) {}

  private final SignatureRunner model;
  private final SignatureSpec spec;
  private final List<String> outputs;
  private final BatchOptions options;
  private final boolean isSerial;
  private final Map<String, Integer> padding; // by input that may be padded; empty for none
  private final Set<String> byLength =
      ConcurrentHashMap.newKeySet(); // outputs that have the padded length
  private int joins;
  private int pads;
  private volatile double bytesPerByte; // of outputs to inputs, the most seen
  private volatile boolean isJoined;
  private volatile boolean isPadded;

  JoinedCalls(
      SignatureRunner model,
      SignatureSpec spec,
      List<String> outputs,
      boolean isSerial,
      BatchOptions options,
      Optional<ModelCard> card) {
    this.model = model;
    this.spec = spec;
    this.outputs = outputs;
    this.options = options;
    this.isSerial = isSerial;
    boolean areOutputs = outputs.stream().map(spec::output).allMatch(JoinedCalls::hasRows);
    boolean areInputs = spec.inputs().values().stream().allMatch(JoinedCalls::hasRows);
    boolean isAny = !spec.inputs().isEmpty() && !outputs.isEmpty();
    isJoined = options.enabled() && !isSerial && isAny && areInputs && areOutputs;
    padding = isJoined ? card.map(this::padding).orElse(Map.of()) : Map.of();
    isPadded = !padding.isEmpty();
  }

  private static boolean hasRows(TensorSpec tensor) {
    var shape = tensor.shape();
    return shape.isUnknown() || shape.numDimensions() > 0 && shape.get(0) < 0;
  }

  private static boolean isFree(TensorSpec tensor) {
    var shape = tensor.shape();
    return !shape.isUnknown() && shape.numDimensions() == 2 && shape.get(1) < 0;
  }

  /** What tokens and the inputs beside them are padded with; none where the card does not tell. */
  private Map<String, Integer> padding(ModelCard card) {
    var model = card.languageModel();
    TensorSpec tokens = model == null ? null : spec.inputs().get(model.tokens());
    Integer pad = card.vocabulary() == null ? null : card.vocabulary().padId();
    boolean isMasked = spec.inputs().values().stream().anyMatch(InputFeed::isMask);
    boolean isKnown = tokens != null && isFree(tokens) && (pad != null || isMasked);
    if (!isKnown || model.paddedLength() != null) {
      return Map.of();
    }
    Map<String, Integer> values = new TreeMap<>();
    for (TensorSpec input : spec.inputs().values()) {
      if (isFree(input) && !input.equals(tokens)) {
        if (!InputFeed.isMask(input) && !isZeros(input)) {
          return Map.of(); // positions go on behind the last token
        }
        values.put(input.name(), 0);
      }
    }
    values.put(tokens.name(), pad == null ? 0 : pad);
    return values;
  }

  private static boolean isZeros(TensorSpec input) {
    return input.type() != DataType.DT_STRING && InputFeed.of(input) == InputFeed.ZEROS;
  }

  /** Whether runs change something, so that they must come one after the other. */
  boolean isSerial() {
    return isSerial;
  }

  boolean isJoined() {
    return isJoined;
  }

  /** Rows of a call; 0 if it must run alone. */
  int rows(Map<String, NpyArray> inputs) {
    long rows = allRows(inputs);
    return isJoined && rows <= options.maxBatch() ? (int) rows : 0;
  }

  /** 0 where inputs have no rows, or not the same number. */
  static long allRows(Map<String, NpyArray> inputs) {
    long rows = 0;
    for (NpyArray input : inputs.values()) {
      long own = input.shape().length == 0 ? 0 : input.shape()[0];
      if (own == 0 || rows > 0 && rows != own) {
        return 0;
      }
      rows = own;
    }
    return rows;
  }

  private static int count(Map<String, NpyArray> inputs) {
    return (int) inputs.values().iterator().next().shape()[0];
  }

  Lane lane(Map<String, NpyArray> inputs) {
    List<Object> shapes = new ArrayList<>();
    boolean isOneLength = length(inputs) >= 0;
    inputs.forEach(
        (name, array) -> {
          long[] shape = array.shape();
          boolean isBucket = isPadded && isOneLength && padding.containsKey(name);
          for (int d = 1; d < shape.length; d++) {
            shapes.add(isBucket ? bucket(shape[d]) : shape[d]);
          }
          shapes.add(name);
        });
    return new Lane(spec.name(), outputs, shapes);
  }

  /** The length of the inputs that are padded; -1 if theirs differ. */
  private long length(Map<String, NpyArray> inputs) {
    long length = -1;
    for (String name : padding.keySet()) {
      long own = inputs.get(name).shape()[1];
      if (own < 1 || length >= 0 && own != length) {
        return -1;
      }
      length = own;
    }
    return length;
  }

  /** Of a row of more than {@value #SHORTEST}, a third at most is padding. */
  private static long bucket(long length) {
    long size = SHORTEST;
    while (size < length) {
      size += size / (Long.bitCount(size) == 1 ? 2 : 3);
    }
    return size;
  }

  /** How many rows of one such call run at a time: more than of several where they are small. */
  int pieceRows(Map<String, NpyArray> inputs, int rows) {
    double row = (1 + bytesPerByte) * bytes(inputs) / rows;
    int small = options.allowedSizes().isEmpty() ? (int) (SMALL_BYTES / Math.max(1, row)) : 0;
    return Math.max(mostRows(inputs, rows), small);
  }

  /** How many rows of calls like this one may run together. */
  int mostRows(Map<String, NpyArray> inputs, int rows) {
    double row = bytesPerByte * bytes(inputs) / rows;
    return (int) Math.max(1, Math.min(options.maxBatch(), MOST_BYTES / Math.max(1, row)));
  }

  static long bytes(Map<String, NpyArray> arrays) {
    return arrays.values().stream().mapToLong(array -> array.bytes().length).sum();
  }

  /** Runs one call; its rows are filled up to a number that may run. */
  Map<String, NpyArray> runAlone(Map<String, NpyArray> inputs) {
    int rows = options.allowedSizes().isEmpty() ? 0 : rows(inputs);
    if (rows == 0 || options.size(rows) == rows) {
      return run(inputs);
    }
    var results = run(filled(inputs, rows));
    boolean isByRow = hasRows(results, options.size(rows));
    return isByRow ? parts(results, new int[] {rows}).get(0) : run(inputs);
  }

  static boolean hasRows(Map<String, NpyArray> results, int rows) {
    return results.values().stream().allMatch(y -> y.shape().length > 0 && y.shape()[0] == rows);
  }

  private Map<String, NpyArray> run(Map<String, NpyArray> inputs) {
    var results = model.predict(spec.name(), inputs, outputs);
    double ratio = bytes(results) / (double) Math.max(1, bytes(inputs));
    synchronized (this) {
      bytesPerByte = Math.max(bytesPerByte, ratio);
    }
    return results;
  }

  private Map<String, NpyArray> filled(Map<String, NpyArray> inputs, int rows) {
    int missing = options.size(rows) - rows;
    Map<String, NpyArray> filled = new LinkedHashMap<>(inputs);
    if (missing > 0) {
      filled.replaceAll(
          (name, array) -> {
            List<NpyArray> parts = new ArrayList<>(List.of(array));
            for (int i = 0; i < missing; i++) {
              parts.add(array.rows(rows - 1, rows));
            }
            return NpyArray.join(parts);
          });
    }
    return filled;
  }

  /**
   * Runs calls of one lane together.
   *
   * @return the results of each; empty if each must run alone
   */
  Optional<List<Map<String, NpyArray>>> runJoined(List<Map<String, NpyArray>> calls) {
    boolean isEven = calls.stream().mapToLong(this::length).distinct().count() < 2;
    if (!isJoined || !isEven && !isPadded) {
      return Optional.empty(); // that became known while they waited
    }
    List<Map<String, NpyArray>> joined;
    try {
      joined = join(calls, isEven);
    } catch (PerformerException e) {
      return Optional.empty(); // one of them may be to blame
    }
    // Equal calls would show nothing.
    boolean isProven = isProven(isEven) || calls.stream().distinct().count() < 2;
    return joined == null || isProven
        ? Optional.ofNullable(joined)
        : Optional.ofNullable(prove(calls, joined, isEven));
  }

  /** Whether a row is known to come out as it does alone. @param isEven without padding */
  synchronized boolean isProven(boolean isEven) {
    return isEven ? joins >= PROOFS : pads >= PROOFS;
  }

  /** The results of each; null if the model does not give a row for each. */
  private List<Map<String, NpyArray>> join(List<Map<String, NpyArray>> calls, boolean isEven) {
    int[] rows = calls.stream().mapToInt(JoinedCalls::count).toArray();
    long longest = calls.stream().mapToLong(this::length).max().orElseThrow();
    Map<String, NpyArray> inputs = new LinkedHashMap<>();
    for (String name : spec.inputs().keySet()) {
      Integer pad = isEven ? null : padding.get(name);
      var parts = calls.stream().map(call -> call.get(name));
      var even = pad == null ? parts : parts.map(part -> padded(part, longest, pad));
      inputs.put(name, NpyArray.join(even.toList()));
    }
    int all = Arrays.stream(rows).sum();
    var results = run(filled(inputs, all));
    if (!hasRows(results, options.size(all))) {
      isJoined = false;
      return null;
    }
    var parts = parts(results, rows);
    if (!isEven) {
      cut(parts, calls);
    }
    return parts;
  }

  private void cut(List<Map<String, NpyArray>> parts, List<Map<String, NpyArray>> calls) {
    for (int i = 0; i < parts.size(); i++) {
      long length = length(calls.get(i));
      parts.get(i).replaceAll((name, y) -> byLength.contains(name) ? cut(y, length) : y);
    }
  }

  private static List<Map<String, NpyArray>> parts(Map<String, NpyArray> results, int[] rows) {
    List<Map<String, NpyArray>> parts = new ArrayList<>();
    int first = 0;
    for (int count : rows) {
      int start = first;
      Map<String, NpyArray> part = new TreeMap<>();
      results.forEach((name, y) -> part.put(name, y.rows(start, start + count)));
      parts.add(part);
      first += count;
    }
    return parts;
  }

  /** {@code [B, L]} to {@code [B, longest]}. */
  private static NpyArray padded(NpyArray array, long longest, int value) {
    return resized(array, longest, filler(array.type(), value));
  }

  private static NpyArray cut(NpyArray array, long length) {
    return resized(array, length, new byte[0]);
  }

  private static NpyArray resized(NpyArray array, long length, byte[] filler) {
    long[] shape = array.shape().clone();
    int rows = (int) shape[0];
    int own = array.bytes().length / rows; // bytes of a row
    if (shape[1] == length) {
      return array;
    }
    int wanted = Math.toIntExact(own / shape[1] * length);
    shape[1] = length;
    byte[] bytes = new byte[Math.multiplyExact(rows, wanted)];
    for (int row = 0; row < rows; row++) {
      int start = row * wanted;
      System.arraycopy(array.bytes(), row * own, bytes, start, Math.min(own, wanted));
      for (int i = start + own; i < start + wanted; i += filler.length) {
        System.arraycopy(filler, 0, bytes, i, filler.length);
      }
    }
    return new NpyArray(array.type(), shape, bytes);
  }

  private static byte[] filler(NpyType type, int value) {
    return switch (type) {
      case FLOAT32 -> NpyArray.of(new float[] {value}, 1).bytes();
      case FLOAT64 -> NpyArray.of(new double[] {value}, 1).bytes();
      default -> Arrays.copyOf(NpyArray.of(new long[] {value}, 1).bytes(), type.size());
    };
  }

  /** Runs each alone and keeps what comes of that; null if one of them fails. */
  private List<Map<String, NpyArray>> prove(
      List<Map<String, NpyArray>> calls, List<Map<String, NpyArray>> joined, boolean isEven) {
    List<Map<String, NpyArray>> alone = new ArrayList<>();
    try {
      calls.forEach(call -> alone.add(runAlone(call)));
    } catch (PerformerException e) {
      return null;
    }
    synchronized (this) {
      if (!isEven && pads == 0) {
        learnLengths(calls, alone);
      }
      if (!isEven) {
        cut(joined, calls);
      }
      boolean isSame = true;
      for (int i = 0; isSame && i < calls.size(); i++) {
        isSame = SameResults.of(alone.get(i), joined.get(i));
      }
      isPadded &= isSame;
      isJoined &= isSame || !isEven;
      joins += isEven ? 1 : 0;
      pads += isEven ? 0 : 1;
    }
    return alone;
  }

  private void learnLengths(List<Map<String, NpyArray>> calls, List<Map<String, NpyArray>> alone) {
    for (String name : outputs) {
      boolean isByLength = true;
      for (int i = 0; i < calls.size(); i++) {
        NpyArray y = alone.get(i).get(name);
        boolean isLong = y.shape().length > 1 && y.shape()[1] == length(calls.get(i));
        isByLength &= isLong && y.type() != NpyType.STRING;
      }
      if (isByLength) {
        byLength.add(name);
      }
    }
  }
}
