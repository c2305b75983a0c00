package dev.performer.data;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Text as its UTF-8 bytes: 256 tokens for them, then begin, end and padding. */
public final class ByteVocabulary {
  private static final int BYTES = 256;
  private static final Vocabulary TEXT = build();

  private ByteVocabulary() {}

  /**
   * Ids 0 to 255 are bytes (ASCII under its own letter, the others as {@code <0xE9>}), 256 begins,
   * 257 ends, 258 pads.
   */
  public static Vocabulary text() {
    return TEXT;
  }

  /** The ids of a text. */
  public static int[] encode(String text) {
    return ids(text.getBytes(StandardCharsets.UTF_8));
  }

  /** The text of ids; other tokens than bytes are left out, broken UTF-8 is replaced. */
  public static String decode(int[] ids) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(ids.length);
    for (int id : ids) {
      if (id < BYTES) {
        bytes.write(id);
      }
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  static int[] ids(byte[] bytes) {
    int[] ids = new int[bytes.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = bytes[i] & 0xff;
    }
    return ids;
  }

  private static Vocabulary build() {
    List<String> tokens = new ArrayList<>();
    for (int b = 0; b < BYTES; b++) {
      tokens.add(b < 128 ? Character.toString(b) : String.format("<0x%02X>", b));
    }
    tokens.addAll(List.of("<bos>", "<eos>", "<pad>"));
    return Vocabulary.of(tokens, "<pad>", null, "<bos>", "<eos>", null);
  }
}
