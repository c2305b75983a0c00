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
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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

  /** Reads every numeric array; arrays of text or objects, and other entries, are skipped. */
  public static Map<String, NpyArray> read(Path file) {
    return read(file, Runtime.getRuntime().maxMemory() / 10 * 9);
  }

  /** As {@link #read(Path)}. @param most bytes of memory that reading may take */
  static Map<String, NpyArray> read(Path file, long most) {
    boolean isThere = Files.exists(file) || DataFile.isStandardInput(file);
    require(isThere, "%s: no such file; expected an .npz of NumPy arrays", file);
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
              zip.putNextEntry(new ZipEntry(e.getKey() + ".npy"));
              writeNpy(zip, e.getValue());
            }
          }
        });
  }

  /** Empty for arrays of text and of objects. @param size of the whole .npy; -1 if unknown */
  private static Optional<NpyArray> readNpy(InputStream in, long size, String where)
      throws IOException {
    byte[] head = in.readNBytes(8);
    boolean isNpy = head.length == 8 && Arrays.equals(MAGIC, 0, 6, head, 0, 6);
    require(isNpy, "%s: not a .npy (wrong first bytes)", where);
    int lengthBytes = head[6] == 1 ? 2 : 4;
    byte[] length = in.readNBytes(lengthBytes);
    int claimed = ByteBuffer.wrap(Arrays.copyOf(length, 4)).order(ByteOrder.LITTLE_ENDIAN).getInt();
    boolean isSound = claimed >= 0 && claimed <= MAX_HEADER;
    require(isSound, "%s: header claims %d bytes", where, claimed);
    byte[] header = in.readNBytes(claimed);
    boolean isWhole = length.length == lengthBytes && header.length == claimed;
    require(isWhole, "%s: truncated header", where);
    String text = new String(header, StandardCharsets.UTF_8);
    Matcher descr = field(DESCR, text, where, "'descr', such as '<f4'");
    Matcher fortran = field(FORTRAN, text, where, "'fortran_order', True or False");
    Matcher dimensions = field(SHAPE, text, where, "'shape', such as (2, 3)");
    String code = descr.group(2) + descr.group(3);
    NpyType type =
        Stream.of(NpyType.values()).filter(t -> t.code().equals(code)).findFirst().orElse(null);
    if (type == null) {
      String unknown =
          "%s: element type '%s' is not supported; use float32, float64, int32 or int64";
      require("USO".indexOf(code.charAt(0)) >= 0, unknown, where, Excerpt.of(code));
      return Optional.empty();
    }
    long[] shape = shape(dimensions.group(1), where);
    long expected;
    try {
      expected = NpyArray.bytes(type, shape);
    } catch (ArithmeticException | IllegalArgumentException e) {
      throw new PerformerException(where + ": impossible shape " + Arrays.toString(shape));
    }
    String tooLarge = "%s: %d bytes are more than the 2 GiB an array may have";
    require(expected <= Integer.MAX_VALUE - 16, tooLarge, where, expected);
    long there = size < 0 ? expected : Math.max(0, size - 8 - lengthBytes - claimed);
    byte[] bytes = in.readNBytes((int) Math.min(there, expected));
    require(
        bytes.length == expected, "%s: truncated: %d of %d bytes", where, bytes.length, expected);
    require(in.read() < 0, "%s: more bytes than the %d its shape needs", where, expected);
    if (descr.group(1).equals(">")) {
      reverseElements(bytes, type.size());
    }
    boolean isColumnMajor = fortran.group(1).equals("True") && shape.length > 1;
    return Optional.of(
        new NpyArray(
            type, shape, isColumnMajor ? fromColumnMajor(bytes, shape, type.size()) : bytes));
  }

  private static Matcher field(Pattern pattern, String header, String where, String what) {
    Matcher matcher = pattern.matcher(header);
    require(matcher.find(), "%s: its header has no readable %s", where, what);
    return matcher;
  }

  private static long[] shape(String text, String where) {
    String[] sizes = Stream.of(text.split(",")).filter(p -> !p.isBlank()).toArray(String[]::new);
    require(sizes.length <= MAX_RANK, "%s: over %d dimensions", where, MAX_RANK);
    return Stream.of(sizes).map(String::strip).mapToLong(size -> dimension(size, where)).toArray();
  }

  private static long dimension(String size, String where) {
    try {
      return Long.parseLong(size.replace("L", ""));
    } catch (NumberFormatException e) {
      String wrong = "%s: impossible shape: dimension '%s' is no whole number";
      throw new PerformerException(wrong.formatted(where, Excerpt.of(size)));
    }
  }

  private static void reverseElements(byte[] bytes, int size) {
    for (int i = 0; i < bytes.length; i += size) {
      for (int a = i, b = i + size - 1; a < b; a++, b--) {
        byte swapped = bytes[a];
        bytes[a] = bytes[b];
        bytes[b] = swapped;
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
    List<byte[]> strings = array.type() == NpyType.STRING ? array.strings() : List.of();
    int widest = Math.max(1, strings.stream().mapToInt(s -> s.length).max().orElse(0));
    boolean isPlain = array.type() != NpyType.STRING;
    String sizes = Arrays.toString(array.shape()).replaceAll("[\\[\\]]", "");
    String shape = "(" + sizes + (array.shape().length == 1 ? ",)" : ")");
    String order = array.type().size() <= 1 ? "|" : "<";
    String header =
        "{'descr': '%s%s', 'fortran_order': False, 'shape': %s, }"
            .formatted(order, array.type().code() + (isPlain ? "" : widest), shape);
    int padding = 63 - (10 + header.length()) % 64;
    byte[] text = (header + " ".repeat(padding) + "\n").getBytes(StandardCharsets.US_ASCII);
    out.write(MAGIC);
    out.write(new byte[] {1, 0, (byte) text.length, (byte) (text.length >> 8)});
    out.write(text);
    if (isPlain) {
      out.write(array.bytes());
    }
    for (byte[] string : strings) { // NumPy's are of one width, with zeros behind
      out.write(Arrays.copyOf(string, widest));
    }
  }
}
