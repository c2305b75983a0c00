package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What stands before the elements of a {@code .npy}.
 *
 * @param type null for text and objects
 * @param length bytes of the header
 */
record NpyHeader(
    NpyType type, long[] shape, boolean isBigEndian, boolean isColumnMajor, int length) {
  private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
  private static final int MAX_HEADER = 1 << 20;
  private static final int MAX_RANK = 64; // as NumPy 2
  private static final Pattern DESCR =
      Pattern.compile("'descr'\\s*:\\s*'([<>|=]?)([a-zA-Z])(\\d*)'");
  private static final Pattern FORTRAN = Pattern.compile("'fortran_order'\\s*:\\s*(True|False)");
  private static final Pattern SHAPE = Pattern.compile("'shape'\\s*:\\s*\\(([^)]*)\\)");

  static NpyHeader read(InputStream in, String where) throws IOException {
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
        Stream.of(NpyType.values())
            .filter(t -> t != NpyType.STRING && t.code().equals(code))
            .findFirst()
            .orElse(null);
    String unknown = "%s: element type '%s' is not supported; use float32, float64, int32 or int64";
    boolean isText = "USO".indexOf(code.charAt(0)) >= 0;
    require(type != null || isText, unknown, where, Excerpt.of(code));
    long[] shape = type == null ? new long[0] : shape(dimensions.group(1), where);
    boolean isColumnMajor = fortran.group(1).equals("True") && shape.length > 1;
    int all = 8 + lengthBytes + claimed;
    return new NpyHeader(type, shape, descr.group(1).equals(">"), isColumnMajor, all);
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

  /** Bytes of all elements. */
  long bytes(String where) {
    try {
      return NpyArray.bytes(type, shape);
    } catch (ArithmeticException | IllegalArgumentException e) {
      throw new PerformerException(where + ": impossible shape " + Arrays.toString(shape));
    }
  }

  /** Brings elements into little-endian order. */
  void order(byte[] bytes) {
    int size = type.size();
    for (int i = 0; isBigEndian && i < bytes.length; i += size) {
      for (int a = i, b = i + size - 1; a < b; a++, b--) {
        byte swapped = bytes[a];
        bytes[a] = bytes[b];
        bytes[b] = swapped;
      }
    }
  }

  /** Writes one for little-endian elements in C order. */
  static void write(OutputStream out, String code, long[] shape) throws IOException {
    String sizes = Arrays.toString(shape).replaceAll("[\\[\\]]", "");
    String text = "(" + sizes + (shape.length == 1 ? ",)" : ")");
    String order = code.matches("S.*|.1") ? "|" : "<";
    String header =
        "{'descr': '%s%s', 'fortran_order': False, 'shape': %s, }".formatted(order, code, text);
    int padding = 63 - (10 + header.length()) % 64;
    byte[] bytes = (header + " ".repeat(padding) + "\n").getBytes(StandardCharsets.US_ASCII);
    out.write(MAGIC);
    out.write(new byte[] {1, 0, (byte) bytes.length, (byte) (bytes.length >> 8)});
    out.write(bytes);
  }
}
