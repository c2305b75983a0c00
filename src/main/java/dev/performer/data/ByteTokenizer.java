package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/**
 * The bytes of a text in UTF-8: a byte's id is its value plus an offset. The ids below the offset
 * are special, in this order, as far as there are: padding 0, end 1, unknown 2, begin 3, mask 4.
 * Offset 3 is the layout of ByT5, without its spare ids. An end token stands behind whole texts.
 *
 * @see <a
 *     href="https://github.com/google-research/t5x/blob/main/docs/models.md#byt5-checkpoints">ByT5</a>
 */
public record ByteTokenizer(int offset) implements Tokenizer {
  public static final String NAME = "bytes"; // bytes:N has the offset N
  public static final int DEFAULT_OFFSET = 3; // ByT5's
  private static final List<String> SPECIALS = List.of("<pad>", "</s>", "<unk>", "<s>", "<mask>");

  public ByteTokenizer {
    boolean isOffset = offset >= 0 && offset <= 256;
    require(isOffset, "bytes:%d: the offset of bytes must be from 0 to 256", offset);
  }

  /** Whether a name is {@code bytes} or {@code bytes:N}. */
  public static boolean isNamed(String name) {
    return name.equals(NAME) || name.startsWith(NAME + ":");
  }

  /** The tokenizer of {@code bytes} or {@code bytes:N}. */
  public static ByteTokenizer named(String name) {
    if (name.equals(NAME)) {
      return new ByteTokenizer(DEFAULT_OFFSET);
    }
    String unfit = "tokenizer '%s': expected bytes, or bytes:N with N special ids before them";
    require(name.matches(NAME + ":\\d{1,3}"), unfit, name);
    return new ByteTokenizer(Integer.parseInt(name.substring(NAME.length() + 1)));
  }

  @Override
  public String label() {
    return NAME + ":" + offset;
  }

  @Override
  public Vocabulary vocabulary() {
    List<String> tokens = new ArrayList<>(offset + 256);
    for (int id = 0; id < offset; id++) {
      tokens.add(id < SPECIALS.size() ? SPECIALS.get(id) : "<special_" + id + ">");
    }
    for (int b = 0; b < 256; b++) {
      tokens.add(b > 32 && b < 127 ? Character.toString(b) : "<0x%02X>".formatted(b));
    }
    return new Vocabulary(tokens, special(0), special(4), special(3), special(1), special(2));
  }

  private OptionalInt special(int id) {
    return id < offset ? OptionalInt.of(id) : OptionalInt.empty();
  }

  @Override
  public TextEncoder encoder() {
    return text -> ids(text.getBytes(StandardCharsets.UTF_8));
  }

  /** The ids of bytes. */
  int[] ids(byte[] bytes) {
    int[] ids = new int[bytes.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = (bytes[i] & 0xff) + offset;
    }
    return ids;
  }

  @Override
  public String decode(int[] ids) {
    var bytes = new ByteArrayOutputStream(ids.length);
    IntStream.of(ids).map(id -> id - offset).filter(b -> b >= 0 && b < 256).forEach(bytes::write);
    return bytes.toString(StandardCharsets.UTF_8);
  }

  @Override
  public int[] suffix() {
    return special(1).stream().toArray();
  }
}
