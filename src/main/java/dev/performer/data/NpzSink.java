package dev.performer.data;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.zip.Deflater;
import java.util.zip.ZipOutputStream;

/** Arrays with a row for each row, as long as the longest. */
final class NpzSink implements RowSink {
  private final List<Field> fields;

  private final int least;

  NpzSink(List<Field> fields, int least) {
    this.fields = fields;
    this.least = least;
  }

  private List<Integer> places() {
    return IntStream.range(0, fields.size())
        .filter(i -> fields.get(i).formats().contains(RowFormat.NPZ))
        .boxed()
        .toList();
  }

  @Override
  public void part(Path file, List<Object[]> rows) throws IOException {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    for (int i : places()) {
      Field field = fields.get(i);
      List<NpyArray> values = rows.stream().map(row -> (NpyArray) row[i]).toList();
      long[] shape = new long[field.rank() + 1];
      shape[0] = values.size();
      for (NpyArray value : values) {
        for (int d = 1; d < shape.length; d++) {
          shape[d] = Math.max(shape[d], value.shape()[d - 1]);
        }
      }
      long bytes = NpyArray.bytes(field.type(), shape);
      ByteBuffer all = ByteBuffer.allocate(Math.toIntExact(bytes)).order(ByteOrder.LITTLE_ENDIAN);
      int row = all.capacity() / Math.max(1, values.size());
      long[] inner = Arrays.copyOfRange(shape, 1, shape.length);
      for (int r = 0; r < values.size(); r++) {
        NpyArray value = values.get(r);
        place(value.bytes(), 0, value.shape(), all.array(), r * row, inner, field);
      }
      arrays.put(field.name(), new NpyArray(field.type(), shape, all.array()));
    }
    Npz.write(file, arrays);
  }

  @Override
  public void join(List<Path> parts, OutputStream out) throws IOException {
    List<Map<String, NpyHeader>> headers = parts.stream().map(NpzRows::headers).toList();
    ZipOutputStream zip = new ZipOutputStream(out);
    zip.setLevel(Deflater.BEST_SPEED);
    for (int i : places()) {
      Field field = fields.get(i);
      long[] shape = new long[field.rank() + 1];
      shape[field.perToken() ? 1 : 0] = field.perToken() ? least : 0;
      for (Map<String, NpyHeader> part : headers) {
        long[] one = part.get(field.name()).shape();
        shape[0] += one[0];
        for (int d = 1; d < shape.length; d++) {
          shape[d] = Math.max(shape[d], one[d]);
        }
      }
      Npz.begin(zip, field.name(), field.type().code(), shape);
      long[] inner = Arrays.copyOfRange(shape, 1, shape.length);
      byte[] row = new byte[Math.toIntExact(NpyArray.bytes(field.type(), inner))];
      for (Path part : parts) {
        try (NpzRows rows = new NpzRows(part, List.of(field.name()))) {
          for (NpyArray[] next = rows.next(); next != null; next = rows.next()) {
            place(next[0].bytes(), 0, next[0].shape(), row, 0, inner, field);
            zip.write(row);
          }
        }
      }
    }
    zip.finish();
  }

  /** Copies a row into a larger one, filled up behind each of its dimensions. */
  private static void place(
      byte[] from, int start, long[] shape, byte[] to, int at, long[] larger, Field field) {
    int size = field.type().size();
    if (shape.length == 0 || Arrays.equals(shape, larger)) {
      int bytes = size * Math.toIntExact(product(shape));
      System.arraycopy(from, start, to, at, bytes);
      return;
    }
    long[] inner = Arrays.copyOfRange(shape, 1, shape.length);
    long[] innerLarger = Arrays.copyOfRange(larger, 1, larger.length);
    int step = size * Math.toIntExact(product(inner));
    int stepLarger = size * Math.toIntExact(product(innerLarger));
    for (int i = 0; i < shape[0]; i++) {
      place(from, start + i * step, inner, to, at + i * stepLarger, innerLarger, field);
    }
    fill(to, at + (int) shape[0] * stepLarger, at + (int) larger[0] * stepLarger, field);
  }

  private static long product(long[] sizes) {
    return Arrays.stream(sizes).reduce(1, Math::multiplyExact);
  }

  private static void fill(byte[] to, int from, int end, Field field) {
    Arrays.fill(to, from, end, (byte) 0);
    ByteBuffer all = ByteBuffer.wrap(to).order(ByteOrder.LITTLE_ENDIAN);
    for (int at = from; field.padding() != 0 && at < end; at += field.type().size()) {
      switch (field.type()) {
        case INT32 -> all.putInt(at, (int) field.padding());
        case INT64 -> all.putLong(at, field.padding());
        default -> throw new IllegalStateException("only ids are filled up with an id");
      }
    }
  }
}
