package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;
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
  private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
  private static final int MAX_HEADER = 1 << 20;
  private static final int MAX_RANK = 64; // as NumPy 2
  private static final Pattern DESCR =
      Pattern.compile("'descr'\\s*:\\s*'([<>|=]?)([a-zA-Z])(\\d*)'");
  private static final Pattern FORTRAN = Pattern.compile("'fortran_order'\\s*:\\s*(True|False)");
  private static final Pattern SHAPE = Pattern.compile("'shape'\\s*:\\s*\\(([^)]*)\\)");

  private Npz() {}

  /**
   * Reads every numeric array of a file. Entries that are no {@code .npy}, and arrays of text or
   * objects, are skipped.
   */
  public static Map<String, NpyArray> read(Path file) {
    return read(file, Runtime.getRuntime().maxMemory() / 10 * 9);
  }

  /** As {@link #read(Path)}. @param most bytes of memory that reading may take */
  static Map<String, NpyArray> read(Path file, long most) {
    require(
        Files.exists(file) || DataFile.isStandardInput(file),
        "%s: no such file; expected an .npz of NumPy arrays",
        file);
    Path place = DataFile.place(file, "an .npz of NumPy arrays");
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (ZipFile zip = new ZipFile(place.toFile())) {
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
    } catch (ZipException | IllegalArgumentException e) {
      String why =
          e instanceof ZipException zip ? AtomicFiles.describe(zip) : "a name in it is no text";
      throw new PerformerException(
          "%s: not an .npz (%s); write it with numpy.savez".formatted(file, why), e);
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be read: " + AtomicFiles.describe(e), e);
    }
    return arrays;
  }

  private static void requireRoom(List<? extends ZipEntry> entries, Path file, long most) {
    // The largest is there twice while it is read.
    var sizes = entries.stream().mapToDouble(e -> Math.max(0, e.getSize())).summaryStatistics();
    double largest = Math.max(0, sizes.getMax());
    double total = sizes.getSum();
    if (total + largest > most) {
      throw new PerformerException(
          "%s claims %.0f bytes of arrays, the largest of %.0f; at most %d together fit into Java's memory"
              .formatted(file, total, largest, most));
    }
  }

  /** Writes arrays beside {@code file} and moves the result there when it is whole. */
  public static void write(Path file, Map<String, NpyArray> arrays) {
    OutputFile.write(
        file,
        out -> {
          try (ZipOutputStream zip = new ZipOutputStream(out)) {
            for (Map.Entry<String, NpyArray> e : arrays.entrySet()) {
              zip.putNextEntry(new ZipEntry(e.getKey() + ".npy"));
              writeNpy(zip, e.getValue());
              zip.closeEntry();
            }
          }
        });
  }

  /** Empty for arrays of text and of objects. @param size of the whole .npy; -1 if unknown */
  private static Optional<NpyArray> readNpy(InputStream in, long size, String where)
      throws IOException {
    byte[] head = in.readNBytes(8);
    require(
        head.length == 8 && Arrays.equals(MAGIC, 0, 6, head, 0, 6),
        "%s: not a .npy (wrong first bytes)",
        where);
    int lengthBytes = head[6] == 1 ? 2 : 4;
    byte[] length = in.readNBytes(lengthBytes);
    require(length.length == lengthBytes, "%s: truncated header", where);
    int headerLength =
        ByteBuffer.wrap(Arrays.copyOf(length, 4)).order(ByteOrder.LITTLE_ENDIAN).getInt();
    if (headerLength < 0 || headerLength > MAX_HEADER) {
      throw new PerformerException(where + ": header claims " + headerLength + " bytes");
    }
    byte[] header = in.readNBytes(headerLength);
    require(header.length == headerLength, "%s: truncated header", where);
    String text = new String(header, StandardCharsets.UTF_8);
    MatchResult descr = field(DESCR, text, where, "'descr', such as '<f4'");
    MatchResult fortran = field(FORTRAN, text, where, "'fortran_order', True or False");
    MatchResult dimensions = field(SHAPE, text, where, "'shape', such as (2, 3)");
    String code = descr.group(2) + descr.group(3);
    Optional<NpyType> known =
        Stream.of(NpyType.values()).filter(type -> type.code().equals(code)).findFirst();
    if (known.isEmpty()) {
      require(
          "USO".indexOf(code.charAt(0)) >= 0,
          "%s: element type '%s' is not supported; use float32, float64, int32 or int64",
          where,
          Excerpt.of(code));
      return Optional.empty();
    }
    NpyType type = known.get();
    long[] shape = shape(dimensions.group(1), where);
    long expected;
    try {
      expected = Math.multiplyExact(NpyArray.elements(shape), (long) type.size());
    } catch (ArithmeticException | IllegalArgumentException e) {
      throw new PerformerException(where + ": impossible shape " + Arrays.toString(shape));
    }
    if (expected > Integer.MAX_VALUE - 16) {
      throw new PerformerException(
          "%s: %d bytes are more than the 2 GiB an array may have".formatted(where, expected));
    }
    long there = size < 0 ? expected : Math.max(0, size - 8 - lengthBytes - headerLength);
    byte[] bytes = in.readNBytes((int) Math.min(there, expected));
    if (bytes.length < expected) {
      throw new PerformerException(
          "%s: truncated: %d of %d bytes".formatted(where, bytes.length, expected));
    }
    require(in.read() < 0, "%s: more bytes than the %d its shape needs", where, expected);
    if (descr.group(1).equals(">")) {
      reverseElements(bytes, type.size());
    }
    boolean isColumnMajor = fortran.group(1).equals("True") && shape.length > 1;
    return Optional.of(
        new NpyArray(
            type, shape, isColumnMajor ? fromColumnMajor(bytes, shape, type.size()) : bytes));
  }

  private static MatchResult field(Pattern pattern, String header, String where, String what) {
    Matcher matcher = pattern.matcher(header);
    require(matcher.find(), "%s: its header has no readable %s", where, what);
    return matcher;
  }

  private static long[] shape(String text, String where) {
    String[] parts = Stream.of(text.split(",")).filter(p -> !p.isBlank()).toArray(String[]::new);
    require(parts.length <= MAX_RANK, "%s: over %d dimensions", where, MAX_RANK);
    long[] shape = new long[parts.length];
    for (int d = 0; d < shape.length; d++) {
      try {
        shape[d] = Long.parseLong(parts[d].strip().replace("L", ""));
      } catch (NumberFormatException e) {
        throw new PerformerException(
            "%s: impossible shape: dimension '%s' is no whole number"
                .formatted(where, Excerpt.of(parts[d].strip())));
      }
    }
    return shape;
  }

  private static void reverseElements(byte[] bytes, int size) {
    for (int i = 0; i < bytes.length; i += size) {
      for (int a = i, b = i + size - 1; a < b; a++, b--) {
        byte t = bytes[a];
        bytes[a] = bytes[b];
        bytes[b] = t;
      }
    }
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

  private static void writeNpy(OutputStream out, NpyArray array) throws IOException {
    String shape =
        LongStream.of(array.shape())
            .mapToObj(Long::toString)
            .collect(Collectors.joining(", ", "(", array.shape().length == 1 ? ",)" : ")"));
    String order = array.type().size() == 1 ? "|" : "<";
    String header =
        "{'descr': '%s%s', 'fortran_order': False, 'shape': %s, }"
            .formatted(order, array.type().code(), shape);
    int padding = 63 - (10 + header.length()) % 64;
    byte[] text = (header + " ".repeat(padding) + "\n").getBytes(StandardCharsets.US_ASCII);
    out.write(MAGIC);
    out.write(new byte[] {1, 0, (byte) text.length, (byte) (text.length >> 8)});
    out.write(text);
    out.write(array.bytes());
  }
}
