package dev.performer.data;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalInt;

/**
 * Between texts and the token ids of a model: {@linkplain LetterTokenizer single letters},
 * {@linkplain ByteTokenizer bytes}, {@linkplain IdTokenizer token ids themselves}, or {@linkplain
 * JsonTokenizer what a tokenizer.json describes}. Safe for use by several threads; encoders are
 * not.
 */
public sealed interface Tokenizer
    permits LetterTokenizer, ByteTokenizer, IdTokenizer, JsonTokenizer {
  /**
   * The tokenizer of a name, or of a file.
   *
   * @param name {@code google-protein}, {@code pad-first-protein}, {@code letters:ABC…}, {@code
   *     bytes}, {@code bytes:N} (N special ids before the bytes), {@code ids}, {@code ids:N} (N
   *     tokens), or the path of a tokenizer.json or a BERT vocabulary in .txt
   */
  static Tokenizer named(String name) {
    if (ByteTokenizer.isNamed(name)) {
      return ByteTokenizer.named(name);
    }
    if (IdTokenizer.isNamed(name)) {
      return IdTokenizer.named(name);
    }
    return name.endsWith(".json") || name.endsWith(".txt")
        ? JsonTokenizer.read(Path.of(name))
        : new LetterTokenizer(name, ProteinVocabulary.named(name));
  }

  /** What a message calls it, such as {@code WordPiece}. */
  String label();

  /** All tokens; {@code bos} is also known as {@code [CLS]}, and {@code eos} as {@code [SEP]}. */
  Vocabulary vocabulary();

  /** A new encoder of texts. */
  TextEncoder encoder();

  /** The text of ids; special tokens write nothing, bytes that are no UTF-8 are U+FFFD. */
  String decode(int[] ids);

  /** Whether tokens are pieces of text, whose length in bytes means something. */
  default boolean writesText() {
    return this instanceof ByteTokenizer || this instanceof JsonTokenizer;
  }

  /** The tokens that a model sees before each text, such as {@code [CLS]}. */
  default int[] prefix() {
    return new int[0];
  }

  /** The tokens that a model sees after each text, such as {@code [SEP]}. */
  int[] suffix();

  /** Whether the {@link #suffix} also ends a text that was cropped. */
  default boolean endsCropped() {
    return false;
  }

  /** Number of tokens. */
  default int size() {
    return vocabulary().size();
  }

  /** The id of {@code [CLS]}: what begins a sequence, where the tokenizer puts it there. */
  default OptionalInt cls() {
    return Arrays.stream(prefix()).findFirst();
  }

  /** The id of {@code [SEP]}: what ends a sequence, where the tokenizer puts it there. */
  default OptionalInt sep() {
    return Arrays.stream(suffix()).reduce((before, last) -> last);
  }

  /** The token that may end a text in training, so that a model learns to stop. */
  default OptionalInt ends() {
    return sep().isPresent() ? sep() : vocabulary().eos();
  }

  /**
   * A text as a model sees it: from {@code start} to {@code end}, between prefix and suffix.
   *
   * @param cropped how many ids of the text were left out at its end
   */
  record Encoding(int[] ids, int start, int end, int cropped) {}

  /**
   * Puts {@link #prefix} and {@link #suffix} around ids, cropped so that all are at most a limit.
   */
  default Encoding framed(int[] content, int limit) {
    int[] before = prefix();
    int[] after = suffix();
    int start = Math.min(before.length, limit);
    int room = limit - start - (endsCropped() ? after.length : 0);
    int kept = Math.max(0, Math.min(content.length, room));
    // Where the end is not kept, a text that fits exactly is whole but for its end.
    int end = start + kept;
    int[] ids = Arrays.copyOf(before, Math.min(limit, end + after.length));
    System.arraycopy(content, 0, ids, start, kept);
    System.arraycopy(after, 0, ids, end, ids.length - end);
    return new Encoding(ids, start, end, content.length - kept);
  }
}
