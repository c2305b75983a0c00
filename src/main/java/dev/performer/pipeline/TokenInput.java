package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.ModelCard.LanguageModel;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * How a signature takes sequences. Immutable.
 *
 * @param tokens the input with token ids, {@code [B, L]}
 * @param mask the input that is 1 where a token is real, {@code [B, L]}; null if there is none
 * @param tokenizer between texts and token ids
 * @param maxLength tokens of a sequence at most; 0 for no limit
 * @param paddedLength tokens that sequences are padded to at least; 0 for no such length
 * @param notes what was assumed of the tokens because the model does not say it, one line each
 */
public record TokenInput(
    Path model,
    SignatureSpec signature,
    String tokens,
    String mask,
    Tokenizer tokenizer,
    int maxLength,
    int paddedLength,
    List<String> notes) {
  /** Longer sequences are cropped where no length is given. */
  public static final int DEFAULT_LENGTH = 1024;

  static TokenInput of(
      Model model, SignatureSpec spec, LanguageModel fed, Tokenizer tokenizer, List<String> notes) {
    int longest = fed.maxLength() == null ? 0 : fed.maxLength();
    int padded = fed.paddedLength() == null ? 0 : fed.paddedLength();
    return new TokenInput(
        model.path(), spec, fed.tokens(), fed.mask(), tokenizer, longest, padded, notes);
  }

  /**
   * Reads FASTA, lines of text, a table or token ids, as {@link TokenizedSequences#read}; sequences
   * longer than the model takes, or than {@value #DEFAULT_LENGTH} tokens, are cropped.
   */
  public TokenizedSequences read(Path file) {
    return TokenizedSequences.read(file, tokenizer, Math.min(DEFAULT_LENGTH, limit()));
  }

  /** The same up to a length. @throws PerformerException if the model takes less */
  public TokenizedSequences read(Path file, int length) {
    requireLength(model, limit(), length);
    return TokenizedSequences.read(file, tokenizer, length);
  }

  /** Names the length that a model takes at most. */
  static void requireLength(Object model, int limit, int length) {
    if (length > limit) {
      String text =
          "%s: takes sequences of at most %d tokens, not %d; choose a length of %d or less";
      throw new PerformerException(text.formatted(model, limit, length, limit))
          .settledBy("length=" + limit);
    }
  }

  /** Texts as the model sees them, begin and end tokens included; the model's limit crops them. */
  public TokenizedSequences encode(List<String> texts) {
    return TokenizedSequences.of(texts, tokenizer, limit());
  }

  /** Tokens of a row at most. */
  public int limit() {
    int fixed = fixed(1);
    return fixed > 0 ? fixed : maxLength > 0 ? maxLength : Integer.MAX_VALUE;
  }

  /** What rows are padded to, of which the longest has so many tokens. */
  int length(int longest) {
    return fixed(1) > 0 ? fixed(1) : Math.max(1, Math.max(longest, paddedLength));
  }

  /** How many rows run at a time, where so many are wished for. */
  int rows(int wished) {
    return fixed(0) > 0 ? fixed(0) : wished;
  }

  /** Whether an id is a token of the text and no padding. */
  boolean isReal(int id) {
    var pad = tokenizer.vocabulary().pad();
    return pad.isEmpty() || pad.getAsInt() != id;
  }

  private int fixed(int dimension) {
    var shape = signature.input(tokens).shape();
    return shape.isUnknown() ? 0 : (int) Math.max(0, shape.get(dimension));
  }

  /**
   * Arrays {@code [rows, length]} for the signature: tokens and mask under their names, zeros for
   * every other input, each of its input's own type.
   *
   * @param ids {@code [rows * length]}
   * @param real 1 where a token is real, {@code [rows * length]}
   */
  Map<String, NpyArray> feeds(int[] ids, int[] real, int rows, int length) {
    Map<String, NpyArray> feeds = new LinkedHashMap<>();
    for (TensorSpec input : signature.inputs().values()) {
      boolean isTokens = input.name().equals(tokens);
      int[] values = isTokens ? ids : input.name().equals(mask) ? real : new int[ids.length];
      feeds.put(input.name(), array(input, NpyArray.of(values, rows, length)));
    }
    return feeds;
  }

  private static NpyArray array(TensorSpec input, NpyArray values) {
    return switch (input.type()) {
      case DT_FLOAT, DT_DOUBLE, DT_HALF, DT_BFLOAT16 ->
          NpyArray.of(values.floats(), values.shape());
      case DT_BOOL -> {
        int[] ints = values.ints();
        byte[] bytes = new byte[ints.length];
        for (int i = 0; i < bytes.length; i++) {
          bytes[i] = (byte) (ints[i] == 0 ? 0 : 1);
        }
        yield new NpyArray(NpyType.BOOL, values.shape(), bytes);
      }
      default -> values; // the predictor widens whole numbers
    };
  }
}
