package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * Reads and writes NumPy's {@code .npz}: a zip of {@code .npy} files.
 *
 * @see <a href="https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html">the npy
 *     format, versions 1 to 3</a>
 */
public final class Npz {
  private static final LocalDateTime EPOCH = LocalDateTime.of(1980, 1, 1, 0, 0); // of zip

  private Npz() {}

  /** Reads every numeric array; arrays of text or objects, and other entries, are skipped. */
  public static Map<String, NpyArray> read(Path file) {
    return read(file, Runtime.getRuntime().maxMemory() / 10 * 9);
  }

  /** As {@link #read(Path)}. @param most bytes of memory that reading may take */
  static Map<String, NpyArray> read(Path file, long most) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (ZipFile zip = open(file)) {
      List<? extends ZipEntry> entries =
          zip.stream().filter(entry -> entry.getName().endsWith(".npy")).toList();
      requireRoom(entries, file, most);
      for (ZipEntry entry : entries) {
        String name = entry.getName().substring(0, entry.getName().length() - 4);
        String where = "%s, array '%s'".formatted(file, Excerpt.of(name));
        try (InputStream in = zip.getInputStream(entry)) {
          readNpy(in, entry.getSize(), where).ifPresent(array -> arrays.put(name, array));
        }
      }
    } catch (IOException | IllegalArgumentException e) {
      throw unreadable(file, e);
    }
    return arrays;
  }

  /** Opens the zip; the caller closes it. */
  static ZipFile open(Path file) {
    boolean isThere = Files.exists(file) || DataFile.isStandardInput(file);
    require(isThere, "%s: no such file; expected an .npz of NumPy arrays", file);
    try {
      return new ZipFile(DataFile.place(file, "an .npz of NumPy arrays").toFile());
    } catch (IOException | IllegalArgumentException e) {
      throw unreadable(file, e);
    }
  }

  /** Why a file cannot be read. */
  static PerformerException unreadable(Path file, Exception e) {
    if (e instanceof IOException io && !(e instanceof ZipException)) {
      return new PerformerException(file + ": cannot be read: " + AtomicFiles.describe(io), e);
    }
    String why =
        e instanceof ZipException zip ? AtomicFiles.describe(zip) : "a name in it is no text";
    return new PerformerException(
        "%s: not an .npz (%s); write it with numpy.savez".formatted(file, why), e);
  }

  /** The shapes of the numeric arrays of a file, which are not read. */
  public static Map<String, long[]> shapes(Path file) {
    Map<String, long[]> shapes = new LinkedHashMap<>();
    NpzRows.headers(file).forEach((name, header) -> shapes.put(name, header.shape()));
    return shapes;
  }

  private static void requireRoom(List<? extends ZipEntry> entries, Path file, long most) {
    // The largest is there twice while it is read.
    var sizes = entries.stream().mapToDouble(e -> Math.max(0, e.getSize())).summaryStatistics();
    double largest = Math.max(0, sizes.getMax());
    double total = sizes.getSum();
    String tooLarge =
        "%s claims %.0f bytes of arrays, the largest of %.0f; at most %d together fit into Java's memory";
    require(total + largest <= most, tooLarge, file, total, largest, most);
  }

  /** Writes a file, whole or not at all. */
  public static void write(Path file, Map<String, NpyArray> arrays) {
    DataFile.write(
        file,
        out -> {
          try (ZipOutputStream zip = new ZipOutputStream(out)) {
            for (Map.Entry<String, NpyArray> e : arrays.entrySet()) {
              NpyArray array = e.getValue();
              boolean isText = array.type() == NpyType.STRING;
              List<byte[]> strings = isText ? array.strings() : List.of();
              int widest = Math.max(1, strings.stream().mapToInt(s -> s.length).max().orElse(0));
              String code = array.type().code() + (isText ? widest : "");
              begin(zip, e.getKey(), code, array.shape());
              zip.write(isText ? new byte[0] : array.bytes());
              for (byte[] string : strings) { // NumPy's are of one width, with zeros behind
                zip.write(Arrays.copyOf(string, widest));
              }
            }
          }
        });
  }

  /** Empty for arrays of text and of objects. @param size of the whole .npy; -1 if unknown */
  static Optional<NpyArray> readNpy(InputStream in, long size, String where) throws IOException {
    NpyHeader header = NpyHeader.read(in, where);
    if (header.type() == null) {
      return Optional.empty();
    }
    long expected = header.bytes(where);
    String tooLarge = "%s: %d bytes are more than the 2 GiB an array may have";
    require(expected <= Integer.MAX_VALUE - 16, tooLarge, where, expected);
    long there = size < 0 ? expected : Math.max(0, size - header.length());
    byte[] bytes = in.readNBytes((int) Math.min(there, expected));
    require(
        bytes.length == expected, "%s: truncated: %d of %d bytes", where, bytes.length, expected);
    require(in.read() < 0, "%s: more bytes than the %d its shape needs", where, expected);
    header.order(bytes);
    long[] shape = header.shape();
    byte[] elements =
        header.isColumnMajor() ? fromColumnMajor(bytes, shape, header.type().size()) : bytes;
    return Optional.of(new NpyArray(header.type(), shape, elements));
  }

  /** Begins an array, whose elements come next. The same arrays make the same bytes. */
  static void begin(ZipOutputStream zip, String name, String code, long[] shape)
      throws IOException {
    ZipEntry entry = new ZipEntry(name + ".npy");
    entry.setTimeLocal(EPOCH);
    zip.putNextEntry(entry);
    NpyHeader.write(zip, code, shape);
  }

  private static byte[] fromColumnMajor(byte[] bytes, long[] shape, int size) {
    byte[] result = new byte[bytes.length];
    int n = bytes.length / size;
    for (int flat = 0; flat < n; flat++) {
      long rest = flat;
      long stride = n;
      long source = 0;
      for (int d = shape.length - 1; d >= 0; d--) {
        stride /= shape[d];
        source += rest % shape[d] * stride;
        rest /= shape[d];
      }
      System.arraycopy(bytes, (int) source * size, result, flat * size, size);
    }
    return result;
  }
}
