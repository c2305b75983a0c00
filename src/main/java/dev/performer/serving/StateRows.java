package dev.performer.serving;

import dev.performer.graph.Tensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.tensorflow.Result;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.ByteDataBuffer;
import org.tensorflow.types.TFloat32;

/**
 * States of several texts, one tensor {@code [B, …]} for each state of the model. An axis of
 * unknown size has a column for every token that was read; where texts differ in length, some
 * columns of a row are padding, which the states themselves mark by zeros.
 *
 * @param spans the columns of each row that are no padding, from and to, one after the other
 * @param columns how many there are
 */
record StateRows(List<Tensor> tensors, List<int[]> spans, int columns, AutoCloseable owner)
    implements AutoCloseable {
  private static final byte[] ZEROS = new byte[1 << 16];

  /** One row of some rows. */
  record Part(StateRows rows, int row) {
    int length() {
      int[] own = rows.spans.get(row);
      int length = 0;
      for (int i = 0; i < own.length; i += 2) {
        length += own[i + 1] - own[i];
      }
      return length;
    }
  }

  /** What the outputs of a run hold, which this closes. */
  static StateRows of(Result result, List<Integer> outputs, List<int[]> spans, int columns) {
    return new StateRows(outputs.stream().map(result::get).toList(), spans, columns, result);
  }

  /** A copy of some rows, padded behind. @param shapes {@code [−1, …]} of the states */
  static StateRows join(List<Shape> shapes, List<Part> parts) {
    List<int[]> spans = parts.stream().map(part -> new int[] {0, part.length()}).toList();
    int columns = parts.stream().mapToInt(Part::length).max().orElse(0);
    List<Tensor> tensors = new ArrayList<>();
    try {
      for (int s = 0; s < shapes.size(); s++) {
        long[] sizes = shapes.get(s).asArray();
        int axis = growing(sizes);
        sizes[0] = parts.size();
        if (axis > 0) {
          sizes[axis] = columns;
        }
        Tensor joined = TFloat32.tensorOf(Shape.of(sizes));
        tensors.add(joined);
        for (int i = 0; i < parts.size(); i++) {
          copy(parts.get(i), s, joined, i, axis);
        }
      }
    } catch (RuntimeException | OutOfMemoryError e) {
      tensors.forEach(Tensor::close);
      throw e;
    }
    return own(tensors, spans, columns);
  }

  static StateRows own(List<Tensor> tensors, List<int[]> spans, int columns) {
    return new StateRows(
        List.copyOf(tensors), spans, columns, () -> tensors.forEach(Tensor::close));
  }

  /** The axis behind the batch that grows; 0 for none. */
  static int growing(long[] sizes) {
    for (int i = 1; i < sizes.length; i++) {
      if (sizes[i] < 0) {
        return i;
      }
    }
    return 0;
  }

  private static void copy(Part part, int state, Tensor to, int row, int axis) {
    Tensor from = part.rows().tensors.get(state);
    ByteDataBuffer source = from.asRawTensor().data();
    ByteDataBuffer target = to.asRawTensor().data();
    long[] sizes = to.shape().asArray();
    if (axis == 0) {
      long bytes = target.size() / sizes[0];
      copy(source, part.row() * bytes, target, row * bytes, bytes);
      return;
    }
    long outer = product(sizes, 1, axis);
    long inner = Float.BYTES * product(sizes, axis + 1, sizes.length);
    long fromColumns = from.shape().get(axis);
    int[] spans = part.rows().spans.get(part.row());
    for (long o = 0; o < outer; o++) {
      long read = (part.row() * outer + o) * fromColumns * inner;
      long write = (row * outer + o) * sizes[axis] * inner;
      long end = write + sizes[axis] * inner;
      for (int i = 0; i < spans.length; i += 2) {
        long bytes = (spans[i + 1] - spans[i]) * inner;
        copy(source, read + spans[i] * inner, target, write, bytes);
        write += bytes;
      }
      while (write < end) {
        int bytes = (int) Math.min(ZEROS.length, end - write);
        target.slice(write, bytes).write(ZEROS, 0, bytes);
        write += bytes;
      }
    }
  }

  private static void copy(
      ByteDataBuffer source, long from, ByteDataBuffer target, long to, long bytes) {
    if (bytes > 0) {
      source.slice(from, bytes).copyTo(target.slice(to, bytes), bytes);
    }
  }

  private static long product(long[] sizes, int from, int to) {
    long product = 1;
    for (int i = from; i < to; i++) {
      product *= sizes[i];
    }
    return product;
  }

  /** A copy of one row, without padding. */
  StateRows row(List<Shape> shapes, int row) {
    return join(shapes, List.of(new Part(this, row)));
  }

  /** The columns of each row after one more, of which so many are no padding. */
  List<int[]> spansAfter(int[] more) {
    List<int[]> after = new ArrayList<>();
    for (int r = 0; r < more.length; r++) {
      int[] own = spans.get(r);
      int last = own.length - 1;
      if (own[last] == columns) {
        int[] longer = own.clone();
        longer[last] += more[r];
        after.add(longer);
      } else {
        int[] longer = Arrays.copyOf(own, own.length + 2);
        longer[last + 1] = columns;
        longer[last + 2] = columns + more[r];
        after.add(longer);
      }
    }
    return after;
  }

  /** Native memory. */
  long bytes() {
    return tensors.stream().mapToLong(Tensor::numBytes).sum();
  }

  float[] floats(int state) {
    return Tensors.floats(tensors.get(state));
  }

  @Override
  public void close() {
    try {
      owner.close();
    } catch (Exception e) {
      throw new IllegalStateException(e); // tensors and results throw nothing
    }
  }
}
