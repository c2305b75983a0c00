package dev.performer.fuzz;

import com.google.protobuf.Message;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;
import org.tensorflow.proto.SavedModel;

/** Makes a damaged file of a whole one; the same random numbers make the same file. */
final class Mutator {
  static final long[] EXTREMES = {
    0,
    1,
    -1,
    2,
    255,
    256,
    65535,
    65536,
    0x7fffffff,
    0x80000000L,
    0xffffffffL,
    1L << 32,
    1L << 40,
    Long.MAX_VALUE,
    Long.MIN_VALUE,
    Long.MAX_VALUE / 2 + 1,
    (1L << 61) + 1
  };
  private static final String[] WORDS = {
    "0",
    "-1",
    "1",
    "4294967296",
    "9223372036854775807",
    "99999999999999999999999",
    "1e999",
    "NaN",
    "-0.5",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[[[[[[[[]]]]]]]]",
    "\"a\"",
    "",
    "\u0000",
    "\n",
    "{",
    "}",
    "\"",
    "'",
    ":",
    ",",
    "../../../../etc/passwd",
    "/dev/zero",
    "\uD83D\uDC4D"
  };
  private static final Pattern TOKEN = Pattern.compile("[-+\\w.]+|[\"'{}\\[\\](),:=@%/\\n]");
  private static final int LARGEST_TEXT = 1 << 20;

  private final SplittableRandom random;

  Mutator(SplittableRandom random) {
    this.random = random;
  }

  /**
   * One to three mutations. What is packed is sometimes unpacked, changed inside and packed again.
   *
   * @param whole the file
   * @param other another file of its kind, to splice with
   */
  byte[] mutate(byte[] whole, byte[] other) {
    return mutate(whole, other, false);
  }

  /**
   * As {@link #mutate(byte[], byte[])}; a SavedModel's protobuf is sometimes changed field by
   * field.
   */
  byte[] mutate(byte[] whole, byte[] other, boolean isSavedModel) {
    try {
      boolean inside = random.nextInt(3) > 0;
      if (inside && starts(whole, 'P', 'K', 3, 4)) {
        return zip(whole);
      } else if (inside && starts(whole, 0x1f, 0x8b)) {
        return gzip(
            mutate(new GZIPInputStream(new ByteArrayInputStream(whole)).readAllBytes(), other));
      } else if (inside && whole.length > 8 && whole[8] == '{') { // safetensors
        return header(whole, 0, 8);
      } else if (inside && starts(whole, 0x93, 'N', 'U', 'M', 'P', 'Y', 1)) {
        return header(whole, 8, 2);
      } else if (inside && isSavedModel) {
        Message message = SavedModel.parseFrom(whole);
        for (int n = random.nextInt(3); n >= 0; n--) {
          message = new ProtoMutator(random).mutate(message);
        }
        return message.toByteArray();
      }
    } catch (IOException e) {
      throw new IllegalStateException("the file to mutate is broken", e);
    }
    byte[] result = whole;
    for (int n = random.nextInt(3); n >= 0 && result.length > 0; n--) {
      result = isText(whole) && random.nextInt(4) > 0 ? text(result) : binary(result, other);
    }
    return result;
  }

  /** A text behind its length: both fit each other afterwards. */
  private byte[] header(byte[] whole, int at, int size) {
    ByteBuffer old = ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN);
    int start = at + size;
    int length = size == 2 ? old.getShort(at) & 0xffff : (int) old.getLong(at);
    byte[] text = text(Arrays.copyOfRange(whole, start, start + length));
    byte[] result = put(without(whole, start, length), start, text);
    ByteBuffer changed = ByteBuffer.wrap(result).order(ByteOrder.LITTLE_ENDIAN);
    if (size == 2) {
      changed.putShort(at, (short) text.length);
    } else {
      changed.putLong(at, text.length);
    }
    return result;
  }

  private byte[] binary(byte[] bytes, byte[] other) {
    // Structure stands at the beginning, at the end, or anywhere.
    int reach = Math.min(bytes.length, 1 << (4 + random.nextInt(20)));
    int at = random.nextInt(reach);
    if (random.nextInt(4) == 0) {
      at = bytes.length - 1 - at;
    }
    return switch (random.nextInt(9)) {
      case 0 -> Arrays.copyOf(bytes, at);
      case 1 -> number(bytes, at);
      case 2 -> number(bytes, at);
      case 3 -> varint(bytes, at);
      case 4 -> without(bytes, at, 1 + random.nextInt(16));
      case 5 -> put(bytes, at, Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + 64)));
      case 6 -> put(bytes, at, randomBytes(1 + random.nextInt(16)));
      case 7 -> splice(bytes, at, other);
      default -> flipped(bytes, at);
    };
  }

  private byte[] flipped(byte[] bytes, int at) {
    byte[] result = bytes.clone();
    for (int n = random.nextInt(8); n >= 0; n--) {
      result[Math.min(result.length - 1, at + random.nextInt(64))] ^=
          (byte) (1 << random.nextInt(8));
    }
    return result;
  }

  /** An extreme number of 1, 2, 4 or 8 bytes in either order. */
  private byte[] number(byte[] bytes, int at) {
    byte[] result = bytes.clone();
    int size = Math.min(1 << random.nextInt(4), bytes.length - at);
    long value = EXTREMES[random.nextInt(EXTREMES.length)];
    ByteBuffer number = ByteBuffer.allocate(8);
    boolean little = random.nextBoolean();
    number.order(little ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN).putLong(0, value);
    System.arraycopy(number.array(), little ? 0 : 8 - size, result, at, size);
    return result;
  }

  /** The number of protobuf at a place becomes a long one. */
  private byte[] varint(byte[] bytes, int at) {
    int end = at;
    while (end < bytes.length - 1 && bytes[end] < 0) {
      end++;
    }
    ByteArrayOutputStream number = new ByteArrayOutputStream();
    for (long v = EXTREMES[random.nextInt(EXTREMES.length)]; ; v >>>= 7) {
      number.write((int) (v & 0x7f) | (v >>> 7 == 0 ? 0 : 0x80));
      if (v >>> 7 == 0) {
        break;
      }
    }
    return put(without(bytes, at, end + 1 - at), at, number.toByteArray());
  }

  private byte[] splice(byte[] bytes, int at, byte[] other) {
    int from = random.nextInt(other.length + 1);
    int length = Math.min(other.length - from, 1 << random.nextInt(14));
    byte[] part = Arrays.copyOfRange(other, from, from + length);
    return put(without(bytes, at, random.nextBoolean() ? length : 0), at, part);
  }

  private byte[] text(byte[] bytes) {
    String text = new String(bytes, StandardCharsets.UTF_8);
    List<MatchResult> tokens = TOKEN.matcher(text).results().toList();
    if (tokens.isEmpty()) {
      return bytes;
    }
    MatchResult token = tokens.get(random.nextInt(tokens.size()));
    String word =
        switch (random.nextInt(6)) {
          case 0 -> "";
          case 1 -> token.group() + token.group();
          case 2 -> tokens.get(random.nextInt(tokens.size())).group();
          case 3 ->
              WORDS[random.nextInt(WORDS.length)].repeat(
                  1 + random.nextInt(random.nextInt(8) == 0 ? 5000 : 2));
          default -> WORDS[random.nextInt(WORDS.length)];
        };
    String changed = text.substring(0, token.start()) + word + text.substring(token.end());
    return changed
        .substring(0, Math.min(changed.length(), LARGEST_TEXT))
        .getBytes(StandardCharsets.UTF_8);
  }

  private byte[] zip(byte[] whole) throws IOException {
    List<String> names = new ArrayList<>();
    List<byte[]> contents = new ArrayList<>();
    try (ZipInputStream in = new ZipInputStream(new ByteArrayInputStream(whole))) {
      for (ZipEntry entry = in.getNextEntry(); entry != null; entry = in.getNextEntry()) {
        names.add(entry.getName());
        contents.add(in.readAllBytes());
      }
    }
    int chosen = random.nextInt(names.size());
    byte[] other = contents.get(random.nextInt(names.size()));
    contents.set(chosen, mutate(contents.get(chosen), other));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(out)) {
      for (int i = 0; i < names.size(); i++) {
        zip.putNextEntry(new ZipEntry(names.get(i)));
        zip.write(contents.get(i));
      }
    }
    return out.toByteArray();
  }

  private static byte[] gzip(byte[] bytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream gzip = new GZIPOutputStream(out)) {
      gzip.write(bytes);
    }
    return out.toByteArray();
  }

  private byte[] randomBytes(int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) random.nextInt(256);
    }
    return bytes;
  }

  private static byte[] without(byte[] bytes, int at, int length) {
    int end = Math.min(bytes.length, at + length);
    byte[] result = Arrays.copyOf(bytes, bytes.length - (end - at));
    System.arraycopy(bytes, end, result, at, bytes.length - end);
    return result;
  }

  private static byte[] put(byte[] bytes, int at, byte[] part) {
    byte[] result = Arrays.copyOf(bytes, bytes.length + part.length);
    System.arraycopy(bytes, at, result, at + part.length, bytes.length - at);
    System.arraycopy(part, 0, result, at, part.length);
    return result;
  }

  private static boolean isText(byte[] bytes) {
    int head = Math.min(bytes.length, 256);
    for (int i = 0; i < head; i++) {
      if (bytes[i] >= 0
          && bytes[i] < ' '
          && bytes[i] != '\n'
          && bytes[i] != '\r'
          && bytes[i] != '\t') {
        return false;
      }
    }
    return bytes.length > 0;
  }

  private static boolean starts(byte[] bytes, int... start) {
    for (int i = 0; i < start.length; i++) {
      if (bytes.length <= i || (bytes[i] & 0xff) != start[i]) {
        return false;
      }
    }
    return true;
  }
}
