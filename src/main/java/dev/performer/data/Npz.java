package dev.performer.data;

import dev.performer.PerformerException;
import java.io.ByteArrayOutputStream;
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
import java.util.Enumeration;
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
  private static final Pattern DESCR =
      Pattern.compile("'descr'\\s*:\\s*'([<>|=]?)([a-zA-Z])(\\d*)'");
  private static final Pattern FORTRAN = Pattern.compile("'fortran_order'\\s*:\\s*(True|False)");
  private static final Pattern SHAPE = Pattern.compile("'shape'\\s*:\\s*\\(([^)]*)\\)");

  private Npz() {}

  /**
   * Reads every numeric array of a file. Entries that are no {@code .npy}, and arrays of text or
   * objects, are skipped.
   *
   * @throws PerformerException if the file is missing, is no zip, or an array in it is broken
   */
  public static Map<String, NpyArray> read(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new PerformerException(file + ": no such file; expected an .npz of NumPy arrays");
    }
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (ZipFile zip = new ZipFile(file.toFile())) {
      for (Enumeration<? extends ZipEntry> e = zip.entries(); e.hasMoreElements(); ) {
        ZipEntry entry = e.nextElement();
        if (!entry.getName().endsWith(".npy")) {
          continue;
        }
        String name = entry.getName().substring(0, entry.getName().length() - 4);
        try (InputStream in = zip.getInputStream(entry)) {
          NpyArray array = readNpy(in, file + ", array '" + name + "'");
          if (array != null) {
            arrays.put(name, array);
          }
        }
      }
    } catch (ZipException e) {
      throw new PerformerException(
          file + ": not an .npz (" + e.getMessage() + "); write it with numpy.savez", e);
    } catch (IOException e) {
      throw new PerformerException(file + ": cannot be read: " + e.getMessage(), e);
    } catch (IllegalArgumentException e) {
      throw new PerformerException(
          file + ": not a readable .npz (" + e.getMessage() + "); write it with numpy.savez", e);
    }
    return arrays;
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

  /** Returns null for text and object arrays. */
  private static NpyArray readNpy(InputStream in, String where) throws IOException {
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
      throw new PerformerException(where + ": header is not understood: " + text.strip());
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
          where
              + ": element type '"
              + code
              + "' is not supported; use float32, float64, int32 or int64");
    }
    long[] shape = shape(shapeText.group(1), where);
    long expected;
    try {
      expected = Math.multiplyExact(NpyArray.elements(shape), (long) type.size());
    } catch (ArithmeticException | IllegalArgumentException e) {
      throw new PerformerException(where + ": impossible shape " + Arrays.toString(shape));
    }
    byte[] bytes = readExactly(in, expected, where);
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
        throw new PerformerException(where + ": impossible shape (" + text + ")");
      }
    }
    return dims.stream().mapToLong(Long::longValue).toArray();
  }

  /**
   * Grows with what is really there, so that a header cannot make us allocate what the file does
   * not hold.
   */
  private static byte[] readExactly(InputStream in, long expected, String where)
      throws IOException {
    if (expected > Integer.MAX_VALUE - 16) {
      throw new PerformerException(
          where + ": " + expected + " bytes are more than the 2 GiB an array may have");
    }
    ByteArrayOutputStream out = new ByteArrayOutputStream((int) Math.min(expected, 1 << 20));
    byte[] block = new byte[1 << 16];
    long left = expected;
    while (left > 0) {
      int n = in.read(block, 0, (int) Math.min(block.length, left));
      if (n < 0) {
        throw new PerformerException(
            where + ": truncated: " + (expected - left) + " of " + expected + " bytes");
      }
      out.write(block, 0, n);
      left -= n;
    }
    if (in.read() >= 0) {
      throw new PerformerException(
          where + ": more bytes than the " + expected + " its shape needs");
    }
    return out.toByteArray();
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
        "{'descr': '"
            + order
            + array.type().code()
            + "', 'fortran_order': False, 'shape': "
            + shape
            + ", }";
    int padding = 63 - (10 + header.length()) % 64;
    byte[] text = (header + " ".repeat(padding) + "\n").getBytes(StandardCharsets.US_ASCII);
    out.write(MAGIC);
    out.write(new byte[] {1, 0, (byte) text.length, (byte) (text.length >> 8)});
    out.write(text);
    out.write(array.bytes());
  }
}
