package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/** Runs a signature on rows of token ids of unequal lengths: pads, masks, and cuts padding off. */
final class SequenceRunner {
  private final SavedModelPredictor predictor;
  private final LanguageModelOptions.Tokenized how;
  private final SignatureSpec signature;
  private final TensorSpec tokens;
  private final OptionalInt pad;

  SequenceRunner(SavedModelPredictor predictor, LanguageModelOptions.Tokenized how) {
    this.predictor = predictor;
    this.how = how;
    signature = predictor.directory().signature(how.signature());
    tokens = signature.input(how.tokens());
    pad = how.tokenizer().vocabulary().pad();
  }

  /** Tokens of a row at most. */
  int limit() {
    return limit(signature, how);
  }

  static int limit(SignatureSpec signature, LanguageModelOptions.Tokenized how) {
    int fixed = fixed(signature.input(how.tokens()), 1);
    return fixed > 0 ? fixed : how.maxLength() > 0 ? how.maxLength() : Integer.MAX_VALUE;
  }

  /** What rows are padded to, of which the longest has so many tokens. */
  int length(int longest) {
    return fixed(tokens, 1) > 0
        ? fixed(tokens, 1)
        : Math.max(1, Math.max(longest, how.paddedLength()));
  }

  /** How many rows run at a time, where so many are wished for. */
  int rows(int wished) {
    return fixed(tokens, 0) > 0 ? fixed(tokens, 0) : wished;
  }

  /**
   * Runs some rows.
   *
   * @param ids no more rows than {@link #rows} says
   * @param length of {@link #length}
   * @return outputs, with as many rows as {@code ids}
   */
  Map<String, NpyArray> run(List<int[]> ids, int length) {
    int size = rows(ids.size());
    int[] padded = padded(ids, size, length);
    int[] real = new int[padded.length];
    for (int r = 0; r < ids.size(); r++) {
      for (int i = 0; i < ids.get(r).length; i++) {
        real[r * length + i] = isReal(ids.get(r)[i]) ? 1 : 0;
      }
    }
    Map<String, NpyArray> outputs = new LinkedHashMap<>();
    predictor
        .predict(
            how.signature(),
            SequenceFeeds.of(signature, how.tokens(), how.mask(), padded, real, size, length))
        .forEach((name, array) -> outputs.put(name, head(name, array, ids.size(), size)));
    return outputs;
  }

  /** Whether an id is a token of the text and no padding. */
  boolean isReal(int id) {
    return pad.isEmpty() || pad.getAsInt() != id;
  }

  /** {@code [size, length]}; rows beyond the last are all padding. */
  int[] padded(List<int[]> ids, int size, int length) {
    int[] flat = new int[Math.multiplyExact(size, length)];
    Arrays.fill(flat, pad.orElse(0));
    for (int r = 0; r < ids.size(); r++) {
      System.arraycopy(ids.get(r), 0, flat, r * length, ids.get(r).length);
    }
    return flat;
  }

  private static NpyArray head(String name, NpyArray array, int real, int size) {
    long[] shape = array.shape().clone();
    if (shape.length == 0 || shape[0] != size) {
      throw new PerformerException(
          "output "
              + name
              + " "
              + array
              + " has no row per sequence; run this signature with an .npz");
    }
    if (real == size) {
      return array;
    }
    shape[0] = real;
    return new NpyArray(
        array.type(), shape, Arrays.copyOf(array.bytes(), array.bytes().length / size * real));
  }

  private static int fixed(TensorSpec spec, int dimension) {
    return spec.shape().isUnknown() ? 0 : (int) Math.max(0, spec.shape().get(dimension));
  }
}
