package dev.performer.data;

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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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
   *
   * @throws PerformerException if the file is missing, is no zip, an array in it is broken, or all
   *     together do not fit into Java's memory
   */
  public static Map<String, NpyArray> read(Path file) {
    return read(file, Runtime.getRuntime().maxMemory() / 10 * 9);
  }

  /** As {@link #read(Path)}. @param most bytes of memory that reading may take */
  static Map<String, NpyArray> read(Path file, long most) {
    if (!Files.exists(file) && !DataFile.isStandardInput(file)) {
      throw new PerformerException(file + ": no such file; expected an .npz of NumPy arrays");
    }
    Path place = DataFile.place(file, "an .npz of NumPy arrays");
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (ZipFile zip = new ZipFile(place.toFile())) {
      List<? extends ZipEntry> entries =
          zip.stream().filter(entry -> entry.getName().endsWith(".npy")).toList();
      requireRoom(entries, file, most);
      for (ZipEntry entry : entries) {
        String name = entry.getName().substring(0, entry.getName().length() - 4);
        try (InputStream in = zip.getInputStream(entry)) {
          NpyArray array =
              readNpy(in, entry.getSize(), file + ", array '" + Excerpt.of(name) + "'");
          if (array != null) {
            arrays.put(name, array);
          }
        }
      }
    } catch (ZipException e) {
      throw new PerformerException(
          file + ": not an .npz (" + AtomicFiles.describe(e) + "); write it with numpy.savez", e);
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be read: " + AtomicFiles.describe(e), e);
    } catch (IllegalArgumentException e) {
      throw new PerformerException(
          file + ": not a readable .npz (a name in it is no text); write it with numpy.savez", e);
    }
    return arrays;
  }

  private static void requireRoom(List<? extends ZipEntry> entries, Path file, long most) {
    double total = 0;
    double largest = 0; // which is there twice while it is read
    for (ZipEntry entry : entries) {
      total += Math.max(0, entry.getSize());
      largest = Math.max(largest, entry.getSize());
    }
    if (total + largest > most) {
      throw new PerformerException(
          "%s claims %.0f bytes of arrays, the largest of %.0f; at most %d together fit into Java's memory"
              .formatted(file, total, largest, most));
    }
  }

  /**
   * Writes arrays beside {@code file} and moves the result there when it is whole.
   *
   * @throws PerformerException if the file cannot be written
   */
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

  /**
   * Returns null for text and object arrays.
   *
   * @param size bytes of the whole .npy; -1 if unknown
   */
  private static NpyArray readNpy(InputStream in, long size, String where) throws IOException {
    byte[] head = in.readNBytes(8);
    if (head.length < 8 || !Arrays.equals(MAGIC, 0, 6, head, 0, 6)) {
      throw new PerformerException(where + ": not a .npy (wrong first bytes)");
    }
    int lengthBytes = head[6] == 1 ? 2 : 4;
    byte[] lengthField = in.readNBytes(lengthBytes);
    if (lengthField.length < lengthBytes) {
      throw new PerformerException(where + ": truncated header");
    }
    ByteBuffer length = ByteBuffer.wrap(lengthField).order(ByteOrder.LITTLE_ENDIAN);
    int headerLength = lengthBytes == 2 ? length.getShort() & 0xffff : length.getInt();
    if (headerLength < 0 || headerLength > MAX_HEADER) {
      throw new PerformerException(where + ": header claims " + headerLength + " bytes");
    }
    byte[] header = in.readNBytes(headerLength);
    if (header.length < headerLength) {
      throw new PerformerException(where + ": truncated header");
    }
    String text = new String(header, StandardCharsets.UTF_8);
    Matcher descr = DESCR.matcher(text);
    Matcher fortran = FORTRAN.matcher(text);
    Matcher shapeText = SHAPE.matcher(text);
    if (!descr.find() || !fortran.find() || !shapeText.find()) {
      String lacks =
          !descr.find(0)
              ? "'descr', such as '<f4'"
              : !fortran.find(0) ? "'fortran_order', True or False" : "'shape', such as (2, 3)";
      throw new PerformerException(where + ": its header has no readable " + lacks);
    }
    String code = descr.group(2) + descr.group(3);
    NpyType type = null;
    for (NpyType t : NpyType.values()) {
      type = t.code().equals(code) ? t : type;
    }
    if (type == null) {
      if (code.startsWith("U") || code.startsWith("S") || code.startsWith("O")) {
        return null;
      }
      throw new PerformerException(
          "%s: element type '%s' is not supported; use float32, float64, int32 or int64"
              .formatted(where, Excerpt.of(code)));
    }
    long[] shape = shape(shapeText.group(1), where);
    long expected;
    try {
      expected = Math.multiplyExact(NpyArray.elements(shape), (long) type.size());
    } catch (ArithmeticException | IllegalArgumentException e) {
      throw new PerformerException(where + ": impossible shape " + Arrays.toString(shape));
    }
    if (expected > Integer.MAX_VALUE - 16) {
      throw new PerformerException(
          where + ": " + expected + " bytes are more than the 2 GiB an array may have");
    }
    long there = size < 0 ? expected : size - 8 - lengthBytes - headerLength;
    byte[] bytes = there < expected ? new byte[0] : in.readNBytes((int) expected);
    if (bytes.length < expected) {
      throw new PerformerException(
          "%s: truncated: %d of %d bytes"
              .formatted(where, there < expected ? Math.max(0, there) : bytes.length, expected));
    }
    if (in.read() >= 0) {
      throw new PerformerException(
          where + ": more bytes than the " + expected + " its shape needs");
    }
    if (descr.group(1).equals(">")) {
      reverseElements(bytes, type.size());
    }
    if (fortran.group(1).equals("True") && shape.length > 1) {
      bytes = fromColumnMajor(bytes, shape, type.size());
    }
    return new NpyArray(type, shape, bytes);
  }

  private static long[] shape(String text, String where) {
    List<Long> dims = new ArrayList<>();
    for (String part : text.split(",")) {
      if (part.isBlank()) {
        continue;
      }
      try {
        dims.add(Long.parseLong(part.strip().replace("L", "")));
      } catch (NumberFormatException e) {
        throw new PerformerException(
            "%s: impossible shape: dimension '%s' is no whole number"
                .formatted(where, Excerpt.of(part.strip())));
      }
      if (dims.size() > MAX_RANK) {
        throw new PerformerException(where + ": over " + MAX_RANK + " dimensions");
      }
    }
    return dims.stream().mapToLong(Long::longValue).toArray();
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
      long source = 0;
      long[] index = new long[shape.length];
      for (int d = shape.length - 1; d >= 0; d--) {
        index[d] = rest % shape[d];
        rest /= shape[d];
      }
      for (int d = shape.length - 1; d >= 0; d--) {
        source = source * shape[d] + index[d];
      }
      System.arraycopy(bytes, (int) source * size, result, flat * size, size);
    }
    return result;
  }

  private static void writeNpy(OutputStream out, NpyArray array) throws IOException {
    StringBuilder shape = new StringBuilder("(");
    for (long d : array.shape()) {
      shape.append(d).append(array.shape().length == 1 ? "," : ", ");
    }
    if (array.shape().length > 1) {
      shape.setLength(shape.length() - 2);
    }
    shape.append(")");
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
