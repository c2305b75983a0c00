package dev.performer.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * The tokenizer of a {@code tokenizer.json} of Hugging Face: WordPiece, BPE or WordLevel, with its
 * own normalization and special tokens. Cropping and padding in the file are left aside.
 *
 * @see <a href="https://huggingface.co/docs/tokenizers">Hugging Face Tokenizers</a>
 */
public final class JsonTokenizer implements Tokenizer {
  /** How the file is called beside weights and inside SavedModels. */
  public static final String FILE = "tokenizer.json";

  private static final String[] ENDS = {"</s>", "<eos>", "[SEP]", "[EOS]", "<|endoftext|>"};

  private final byte[] file;
  private final TokenizerJson json;
  private final NativeTokenizer tokenizer;
  private final Vocabulary vocabulary;

  private JsonTokenizer(byte[] file, TokenizerJson json, SpecialIds special) {
    this.file = file;
    this.json = json;
    tokenizer = new NativeTokenizer(json.text(), json.source());
    var bos = cls().isPresent() ? cls() : or(special.bos(), "<s>", "<bos>", "[CLS]", "[BOS]");
    var eos = sep().isPresent() ? sep() : or(special.eos(), ENDS);
    try {
      vocabulary =
          new Vocabulary(
              json.tokens(),
              or(special.pad(), "[PAD]", "<pad>", "<|padding|>", "<|pad|>"),
              or(special.mask(), "[MASK]", "<mask>", "<|mask|>"),
              bos,
              eos,
              json.first(json.unknown(), "[UNK]", "<unk>"));
    } catch (IllegalArgumentException e) {
      throw new PerformerException(json.source() + ": " + e.getMessage(), e);
    }
  }

  private OptionalInt or(OptionalInt known, String... usual) {
    return known.isPresent() ? known : json.first(usual);
  }

  /** Special tokens that are known otherwise; what is absent is found by its usual names. */
  public record SpecialIds(OptionalInt pad, OptionalInt mask, OptionalInt bos, OptionalInt eos) {
    /** Those that a tokenizer_config.json names. */
    private static SpecialIds of(JsonNode config, TokenizerJson json) {
      return new SpecialIds(
          json.first(token(config, "pad_token")),
          json.first(token(config, "mask_token")),
          json.first(token(config, "cls_token"), token(config, "bos_token")),
          json.first(token(config, "sep_token"), token(config, "eos_token")));
    }

    private static String token(JsonNode config, String key) {
      return TokenizerTemplates.token(config, key, null);
    }
  }

  /** A tokenizer from the bytes of a tokenizer.json. */
  public static JsonTokenizer of(byte[] file, String source, SpecialIds special) {
    return new JsonTokenizer(file.clone(), TokenizerJson.of(file, source), special);
  }

  /**
   * Reads a tokenizer.json, a vocab.txt of BERT or ESM, or a vocab.json with its merges.txt, with
   * the tokenizer_config.json beside it.
   */
  public static JsonTokenizer read(Path path) {
    try {
      var found = TokenizerFiles.read(path);
      return of(found.json(), path.toString(), found.settings());
    } catch (IOException e) {
      throw DataFile.unreadable(path, e);
    }
  }

  /** With the settings of a tokenizer_config.json. */
  static JsonTokenizer of(byte[] file, String source, JsonNode settings) {
    TokenizerJson json = TokenizerJson.of(file, source);
    return new JsonTokenizer(file, json, SpecialIds.of(settings, json));
  }

  /** That of a checkpoint: in its archive, or beside it in any form that {@link #read} knows. */
  public static Optional<JsonTokenizer> beside(Path checkpoint) {
    return TokenizerFiles.of(checkpoint);
  }

  /** The same, for texts in lower case. */
  public JsonTokenizer lowerCase() {
    ObjectNode tree = (ObjectNode) StrictJson.readTree(file, json.source());
    JsonNode own = tree.path("normalizer");
    ObjectNode both = tree.putObject("normalizer").put("type", "Sequence");
    var parts = both.putArray("normalizers");
    parts.addObject().put("type", "Lowercase");
    if (own.isObject()) {
      parts.add(own);
    }
    var known = vocabulary;
    var ids = new SpecialIds(known.pad(), known.mask(), known.bos(), known.eos());
    return of(tree.toString().getBytes(StandardCharsets.UTF_8), json.source(), ids);
  }

  /** A file of SentencePiece beside a checkpoint, which no tokenizer here reads. */
  public static Optional<Path> unreadBeside(Path checkpoint) {
    return TokenizerFiles.sentencePiece(checkpoint);
  }

  /** The Jinja template beside a checkpoint that makes a prompt of a conversation. */
  public static Optional<String> chatTemplateBeside(Path checkpoint) {
    return TokenizerFiles.chatTemplate(checkpoint);
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
    return new TextEncoder() {
      private long unknown;
      private long all;

      @Override
      public int[] encode(String text) {
        // A lone half of a surrogate pair is no character, and native code would not take it.
        int[] sound = text.codePoints().map(c -> c < 0xD800 || c > 0xDFFF ? c : 0xFFFD).toArray();
        int[] ids = tokenizer.encode(new String(sound, 0, sound.length));
        int no = vocabulary.unknown().orElse(-1);
        unknown += Arrays.stream(ids).filter(id -> id == no).count();
        all += ids.length;
        return ids;
      }

      @Override
      public Optional<String> report() {
        String report = unknown + " of " + all + " tokens are unknown to the vocabulary";
        return unknown == 0 ? Optional.empty() : Optional.of(report);
      }
    };
  }

  @Override
  public String decode(int[] ids) {
    var known = Arrays.stream(ids).filter(id -> id < json.tokens().size());
    return tokenizer.decode(known.asLongStream().toArray());
  }

  @Override
  public int[] prefix() {
    return json.frame().prefix().clone();
  }

  @Override
  public int[] suffix() {
    return json.frame().suffix().clone();
  }

  @Override
  public boolean endsCropped() {
    return true;
  }
}
