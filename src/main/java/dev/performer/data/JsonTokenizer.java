package dev.performer.data;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What a {@code tokenizer.json} of Hugging Face says: WordPiece, BPE, WordLevel or Unigram, with
 * its own normalization and special tokens. Cropping and padding in the file are left aside. Holds
 * native memory, which is freed when nothing refers to it any more.
 *
 * @see <a href="https://huggingface.co/docs/tokenizers">Hugging Face Tokenizers</a>
 */
public final class JsonTokenizer implements Tokenizer {
  /** How the file is called beside weights and inside SavedModels. */
  public static final String FILE = "tokenizer.json";

  private final byte[] file;
  private final TokenizerJson json;
  private final HuggingFaceTokenizer tokenizer;
  private final int[] prefix;
  private final int[] suffix;
  private final Vocabulary vocabulary;

  private JsonTokenizer(byte[] file, String source, SpecialTokens said) {
    this.file = file;
    json = TokenizerJson.of(file, source);
    tokenizer = TokenizerLibrary.load(json.text(), source);
    int[] plain = encode("a", false);
    int[] whole = encode("a", true);
    int start = whole.length < plain.length ? -1 : indexOf(whole, plain);
    prefix = start < 0 ? new int[0] : Arrays.copyOf(whole, start);
    suffix = start < 0 ? new int[0] : Arrays.copyOfRange(whole, start + plain.length, whole.length);
    vocabulary =
        new Vocabulary(
            json.tokens(),
            json.first(said.pad(), "[PAD]", "<pad>", "<|padding|>", "<|pad|>", "PAD"),
            json.first(said.mask(), "[MASK]", "<mask>", "<|mask|>"),
            prefix.length > 0
                ? OptionalInt.of(prefix[0])
                : json.first(said.bos(), "<s>", "<bos>", "[CLS]", "[BOS]", "<|startoftext|>"),
            suffix.length > 0
                ? OptionalInt.of(suffix[suffix.length - 1])
                : json.first(
                    said.eos(), "</s>", "<eos>", "[SEP]", "[EOS]", "<|endoftext|>", "<|im_end|>"),
            json.first(said.unknown(), json.unknown(), "[UNK]", "<unk>"));
  }

  /**
   * The special tokens as tokenizer_config.json names them; null for what it does not say.
   *
   * @param bos begins a sequence
   */
  public record SpecialTokens(String pad, String mask, String bos, String eos, String unknown) {
    /** Nothing is said. */
    public static final SpecialTokens NONE = new SpecialTokens(null, null, null, null, null);
  }

  /**
   * A tokenizer from the bytes of a tokenizer.json.
   *
   * @param source how messages call it
   * @throws PerformerException if it is broken: one line that names source and key
   */
  public static JsonTokenizer of(byte[] file, String source, SpecialTokens said) {
    return new JsonTokenizer(file.clone(), source, said);
  }

  /**
   * Reads a tokenizer.json, or a vocab.txt of BERT. Special tokens and lower case are as the
   * tokenizer_config.json beside it says.
   *
   * @throws PerformerException if it is broken: one line that names file and key
   */
  public static JsonTokenizer read(Path path) {
    TokenizerConfigFile config = TokenizerConfigFile.beside(path);
    try {
      byte[] bytes =
          path.getFileName().toString().endsWith(".txt")
              ? TokenizerJson.ofBert(lines(path), config.lowerCase(), path.toString())
              : Files.readAllBytes(path);
      return of(bytes, path.toString(), config.specialTokens());
    } catch (MalformedInputException e) {
      throw new PerformerException(path + ": is no text in UTF-8", e);
    } catch (IOException e) {
      throw new PerformerException(path + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static List<String> lines(Path path) throws IOException {
    return Files.readAllLines(path).stream().map(String::strip).toList();
  }

  /** The bytes of its tokenizer.json. */
  public byte[] file() {
    return file.clone();
  }

  @Override
  public String label() {
    return json.type();
  }

  @Override
  public Vocabulary vocabulary() {
    return vocabulary;
  }

  @Override
  public TextEncoder encoder() {
    return new Encoder();
  }

  private final class Encoder implements TextEncoder {
    private long unknown;
    private long all;

    @Override
    public int[] encode(String text) {
      int[] ids = JsonTokenizer.this.encode(text, false);
      all += ids.length;
      vocabulary
          .unknown()
          .ifPresent(id -> unknown += Arrays.stream(ids).filter(i -> i == id).count());
      return ids;
    }

    @Override
    public Optional<String> report() {
      return unknown == 0
          ? Optional.empty()
          : Optional.of(unknown + " of " + all + " tokens are unknown to the vocabulary");
    }
  }

  private int[] encode(String text, boolean withSpecials) {
    // A lone half of a surrogate pair is no character, and native code would not take it.
    String whole = text.codePoints().allMatch(c -> c < 0xD800 || c > 0xDFFF) ? text : sound(text);
    try {
      long[] ids = tokenizer.encode(whole, withSpecials, false).getIds();
      return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
    } catch (RuntimeException e) {
      throw new PerformerException(
          json.source() + ": cannot tokenize a text: " + TokenizerLibrary.firstLine(e.getMessage()),
          e);
    }
  }

  private static String sound(String text) {
    return text.codePoints()
        .map(c -> c < 0xD800 || c > 0xDFFF ? c : 0xFFFD)
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
        .toString();
  }

  @Override
  public String decode(int[] ids) {
    long[] known =
        Arrays.stream(ids).filter(id -> id < json.tokens().size()).asLongStream().toArray();
    return tokenizer.decode(known, true);
  }

  @Override
  public int[] prefix() {
    return prefix.clone();
  }

  @Override
  public int[] suffix() {
    return suffix.clone();
  }

  @Override
  public boolean endsCropped() {
    return true;
  }

  /** Where the text stands between its special tokens. */
  private static int indexOf(int[] whole, int[] part) {
    for (int i = 0; i + part.length <= whole.length; i++) {
      if (Arrays.equals(whole, i, i + part.length, part, 0, part.length)) {
        return i;
      }
    }
    return -1;
  }
}
