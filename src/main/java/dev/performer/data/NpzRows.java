package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/** Arrays of an {@code .npz}, a row of each at a time: memory does not grow with their number. */
final class NpzRows implements AutoCloseable {
  private static final int BUFFER = 1 << 16;

  /** An array that is read on. */
  private record Part(String name, NpyHeader header, InputStream in, int rowBytes) {
    long[] rowShape() {
      return Arrays.copyOfRange(header.shape(), 1, header.shape().length);
    }
  }

  private final Path file;
  private final ZipFile zip;
  private final List<Part> parts = new ArrayList<>();
  private long rows = -1;
  private long next;

  /** The numeric arrays of a file and their shapes, in its order. */
  static Map<String, NpyHeader> headers(Path file) {
    Map<String, NpyHeader> headers = new LinkedHashMap<>();
    try (ZipFile zip = Npz.open(file)) {
      for (ZipEntry entry : zip.stream().filter(e -> e.getName().endsWith(".npy")).toList()) {
        String name = entry.getName().substring(0, entry.getName().length() - 4);
        try (InputStream in = zip.getInputStream(entry)) {
          NpyHeader header = NpyHeader.read(in, where(file, name));
          if (header.type() != null) {
            headers.put(name, header);
          }
        }
      }
    } catch (IOException | IllegalArgumentException e) {
      throw Npz.unreadable(file, e);
    }
    return headers;
  }

  private static String where(Path file, String name) {
    return "%s, array '%s'".formatted(file, Excerpt.of(name));
  }

  /** Opens arrays that have as many rows as each other. */
  NpzRows(Path file, List<String> names) {
    this.file = file;
    zip = Npz.open(file);
    try {
      for (String name : names) {
        parts.add(open(name));
      }
    } catch (IOException | IllegalArgumentException e) {
      close();
      throw Npz.unreadable(file, e);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  private Part open(String name) throws IOException {
    String where = where(file, name);
    ZipEntry entry = zip.getEntry(name + ".npy");
    require(entry != null, "%s: is not there", where);
    InputStream in = new BufferedInputStream(zip.getInputStream(entry), BUFFER);
    NpyHeader header = NpyHeader.read(in, where);
    require(header.type() != null, "%s: is text; expected numbers", where);
    if (header.isColumnMajor()) { // its rows stand nowhere together
      in = zip.getInputStream(entry);
      NpyArray whole = Npz.readNpy(in, entry.getSize(), where).orElseThrow();
      in = new ByteArrayInputStream(whole.bytes());
      header = new NpyHeader(whole.type(), whole.shape(), false, false, 0);
    }
    long[] shape = header.shape();
    require(shape.length > 0, "%s: is one number; expected a row for each sequence", where);
    boolean isFirst = rows < 0;
    rows = isFirst ? shape[0] : rows;
    String other = "%s: has %d rows, but '%s' has %d";
    require(rows == shape[0], other, where, shape[0], isFirst ? name : parts.get(0).name, rows);
    long bytes = header.bytes(where) / Math.max(1, shape[0]);
    require(bytes <= Integer.MAX_VALUE - 16, "%s: a row has %d bytes", where, bytes);
    long there = entry.getSize() < 0 ? Long.MAX_VALUE : entry.getSize() - header.length();
    String cut = "%s: truncated: %d of %d bytes";
    long all = header.bytes(where);
    require(header.length() == 0 || there >= all, cut, where, there, all);
    return new Part(name, header, in, (int) bytes);
  }

  /** N. */
  long rows() {
    return rows;
  }

  /** The next row of each array, in the order of their names; null behind the last. */
  NpyArray[] next() {
    if (next >= rows) {
      return null;
    }
    NpyArray[] row = new NpyArray[parts.size()];
    for (int i = 0; i < row.length; i++) {
      Part part = parts.get(i);
      try {
        byte[] bytes = part.in.readNBytes(part.rowBytes);
        String cut = "%s: truncated in row %d";
        require(bytes.length == part.rowBytes, cut, where(file, part.name), next + 1);
        part.header.order(bytes);
        row[i] = new NpyArray(part.header.type(), part.rowShape(), bytes);
      } catch (IOException e) {
        throw Npz.unreadable(file, e);
      }
    }
    next++;
    return row;
  }

  /**
   * The ids of a row without its padding.
   *
   * @param mask 1 where an id is real, then 0; null where ids of padding at the end are padding
   * @throws PerformerException if one is no id; it names no place
   */
  static int[] ids(NpyArray tokens, NpyArray mask, OptionalInt pad) {
    int[] ids = TokenRows.whole(tokens, "tokens");
    int[] real = mask == null ? null : TokenRows.whole(mask, "mask");
    int end = ids.length;
    while (end > 0
        && (real == null ? pad.equals(OptionalInt.of(ids[end - 1])) : real[end - 1] == 0)) {
      end--;
    }
    for (int i = 0; i < end; i++) {
      String between =
          "mask holds %d at %d; expected ones and then zeros: padding stands at the end";
      require(real == null || real[i] == 1, between, real == null ? 0 : real[i], i);
    }
    return Arrays.copyOf(ids, end);
  }

  @Override
  public void close() {
    DataFile.close(file, zip);
  }
}
