package dev.performer.serving;

import dev.performer.attention.ExactAttention;
import dev.performer.savedmodel.SignatureSpec;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.FloatDataBuffer;
import org.tensorflow.types.TFloat32;

/**
 * The states of texts between the calls of prefill, extend and decode_step, and how texts change
 * batches. A batch is one float32 tensor {@code [B, …]} for each name; a text is one of its rows.
 *
 * <p>Most states have one size for texts of any length. Exact heads keep a cache that grows with
 * each token: keys and values {@code [B, H, S, D]}, and {@code …_real} {@code [B, S]}, which is 0
 * where a row has no token. Where a real column stands among the others does not matter, so rows of
 * different lengths are joined by columns of 0, and {@link #join} leaves out those of no further
 * use.
 */
public final class StateLayout {
  private static final String REAL = "_" + ExactAttention.Recurrence.REAL;

  private final Map<String, Shape> shapes;

  /** A row of a batch, whose tensors stay their owner's. */
  public record Row(Map<String, ? extends Tensor> batch, int number) {}

  private StateLayout(Map<String, Shape> shapes) {
    this.shapes = shapes;
  }

  /** Of the signature decode_step or extend: what it both takes and gives. */
  public static StateLayout of(SignatureSpec step) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    step.inputs()
        .forEach(
            (name, spec) -> {
              if (step.outputs().containsKey(name)) {
                shapes.put(name, spec.shape());
              }
            });
    return new StateLayout(shapes);
  }

  /** Shapes by name, {@code [B, …]}; −1 for the batch, and for the axis that grows. */
  public Map<String, Shape> shapes() {
    return Map.copyOf(shapes);
  }

  /** Whether a text's state grows with its tokens. */
  public boolean grows() {
    return shapes.keySet().stream().anyMatch(this::grows);
  }

  private boolean grows(String name) {
    return shapes.get(name).tail().hasUnknownDimension();
  }

  /** Memory of the state of one text that has so many tokens, in bytes. */
  public long bytes(int tokens) {
    return shapes.values().stream().mapToLong(shape -> Float.BYTES * size(shape, tokens)).sum();
  }

  private static long size(Shape shape, long columns) {
    long size = 1;
    for (long one : shape.tail().asArray()) {
      size *= one < 0 ? columns : one;
    }
    return size;
  }

  /**
   * One batch of the rows of others, in this order; of one row, a text by itself. The caller closes
   * its tensors.
   */
  public Map<String, Tensor> join(List<Row> rows) {
    Map<String, List<Columns>> columns = new LinkedHashMap<>();
    Map<String, Tensor> joined = new LinkedHashMap<>();
    try {
      for (String name : shapes.keySet()) {
        if (grows(name)) {
          String mask = name.substring(0, name.lastIndexOf('_')) + REAL;
          var own = columns.computeIfAbsent(mask, m -> columns(rows, m));
          joined.put(name, joined(name, rows, own));
        } else {
          joined.put(name, joined(name, rows));
        }
      }
      return joined;
    } catch (RuntimeException | Error e) { // of memory
      joined.values().forEach(Tensor::close);
      throw e;
    }
  }

  private Tensor joined(String name, List<Row> rows) {
    Shape shape = shapes.get(name).tail().prepend(rows.size());
    long size = shape.tail().size();
    TFloat32 result = TFloat32.tensorOf(shape);
    FloatDataBuffer target = data(result);
    for (int r = 0; r < rows.size(); r++) {
      copy(data(rows.get(r), name), rows.get(r).number() * size, target, r * size, size);
    }
    return result;
  }

  /** Real columns first, columns of 0 behind them. */
  private Tensor joined(String name, List<Row> rows, List<Columns> columns) {
    long longest = columns.stream().mapToLong(Columns::count).max().orElse(0);
    long[] sizes = shapes.get(name).asArray();
    sizes[0] = rows.size();
    int axis = sizes.length == 2 ? 1 : 2;
    sizes[axis] = longest;
    long heads = axis == 1 ? 1 : sizes[1];
    long width = axis == 1 ? 1 : sizes[3];
    TFloat32 result = TFloat32.tensorOf(Shape.of(sizes));
    FloatDataBuffer target = data(result);
    for (int r = 0; r < rows.size(); r++) {
      FloatDataBuffer source = data(rows.get(r), name);
      Columns own = columns.get(r);
      for (long h = 0; h < heads; h++) {
        long from = (rows.get(r).number() * heads + h) * own.all();
        long to = (r * heads + h) * longest;
        for (Run run : own.runs()) {
          copy(source, (from + run.first()) * width, target, to * width, run.count() * width);
          to += run.count();
        }
        int rest = Math.toIntExact((longest - own.count()) * width);
        if (rest > 0) {
          target.offset(to * width).write(new float[rest]);
        }
      }
    }
    return result;
  }

  /** Neighbouring real columns. */
  private record Run(int first, int count) {}

  /** Which columns of a row are real, of how many. */
  private record Columns(int all, List<Run> runs) {
    long count() {
      return runs.stream().mapToLong(Run::count).sum();
    }
  }

  private static List<Columns> columns(List<Row> rows, String mask) {
    List<Columns> columns = new ArrayList<>();
    for (Row row : rows) {
      float[] real = new float[(int) row.batch().get(mask).shape().get(1)];
      data(row, mask).offset((long) row.number() * real.length).read(real);
      List<Run> runs = new ArrayList<>();
      int end = 0;
      for (int i = 0; i < real.length; i = end + 1) {
        end = i;
        while (end < real.length && real[end] != 0) {
          end++;
        }
        if (end > i) {
          runs.add(new Run(i, end - i));
        }
      }
      columns.add(new Columns(real.length, runs));
    }
    return columns;
  }

  private static FloatDataBuffer data(Row row, String name) {
    return data(row.batch().get(name));
  }

  private static FloatDataBuffer data(Tensor tensor) {
    return tensor.asRawTensor().data().asFloats();
  }

  private static void copy(
      FloatDataBuffer source, long from, FloatDataBuffer target, long to, long count) {
    source.slice(from, count).copyTo(target.slice(to, count), count);
  }
}
