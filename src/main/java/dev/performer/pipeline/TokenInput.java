package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.Field;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.RowFormat;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.InputFeed;
import dev.performer.savedmodel.ModelCard.LanguageModel;
import dev.performer.savedmodel.PositionTable;
import dev.performer.savedmodel.SignatureRunner;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.proto.DataType;

/**
 * How a signature takes sequences. Immutable.
 *
 * @param tokens the input with token ids, {@code [B, L]}
 * @param mask the input that is 1 where a token is real, {@code [B, L]}; null if there is none
 * @param tokenizer between texts and token ids
 * @param maxLength tokens of a sequence at most; 0 for no limit
 * @param positions the table that limits the length, where nothing else does; null for none
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
    PositionTable positions,
    int paddedLength,
    List<String> notes) {
  /** Longer sequences are cropped where no length is given. */
  public static final int DEFAULT_LENGTH = 1024;

  /** Tokens of rows, in arrays. */
  static final Field LENGTHS = Field.number("lengths", NpyType.INT32).in(RowFormat.NPZ);

  /** The ids of rows. @param isInTables whether tables have them, or arrays alone */
  Field tokens(boolean isInTables) {
    long pad = tokenizer.vocabulary().pad().orElse(0);
    Field ids = Field.numbers("tokens", NpyType.INT32, 1, 0, true).padded(pad);
    return isInTables ? ids.in(RowFormat.NPZ, RowFormat.PARQUET) : ids.in(RowFormat.NPZ);
  }

  static NpyArray number(int value) {
    return NpyArray.of(new int[] {value});
  }

  static TokenInput of(
      Model model, SignatureSpec spec, LanguageModel fed, Tokenizer tokenizer, List<String> notes) {
    PositionTable positions =
        fed.maxLength() == null ? model.positions(spec.name()).orElse(null) : null;
    int longest = positions != null ? positions.longest() : 0;
    longest = fed.maxLength() == null ? longest : fed.maxLength();
    int padded = fed.paddedLength() == null ? 0 : fed.paddedLength();
    return new TokenInput(
        model.path(), spec, fed.tokens(), fed.mask(), tokenizer, longest, positions, padded, notes);
  }

  /** How another signature takes the same sequences. */
  TokenInput in(SignatureSpec other, String ids, String real) {
    return new TokenInput(
        model, other, ids, real, tokenizer, maxLength, positions, paddedLength, notes);
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
    requireLength(length);
    return TokenizedSequences.read(file, tokenizer, length);
  }

  /** Fails, with the length that the model takes at most, for a greater one. */
  void requireLength(int length) {
    requireLength(model, positions == null ? "" : " (" + positions + ")", limit(), length);
  }

  static void requireLength(Object model, String why, int limit, int length) {
    if (length > limit) {
      String text =
          "%s: takes sequences of at most %d tokens%s, not %d; choose a length of %2$d or less%s";
      String way = why.isEmpty() ? ", or interpolate its positions with './performer convert'" : "";
      throw new PerformerException(text.formatted(model, limit, why, length, way))
          .settledBy("length=" + limit);
    }
  }

  /** Texts as the model sees them, begin and end tokens included; the model's limit crops them. */
  public TokenizedSequences encode(List<String> texts) {
    return TokenizedSequences.of(texts, tokenizer, limit());
  }

  /** The same for sequences of fewer tokens. */
  TokenInput upTo(int longest) {
    int least = maxLength > 0 ? Math.min(maxLength, longest) : longest;
    return new TokenInput(
        model, signature, tokens, mask, tokenizer, least, positions, paddedLength, notes);
  }

  /** Tokens of a row at most. */
  public int limit() {
    int fixed = fixed(1);
    return fixed > 0 ? fixed : maxLength > 0 ? maxLength : Integer.MAX_VALUE;
  }

  /** Whether rows have one length. */
  boolean isFixed() {
    return fixed(1) > 0;
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
   * An array for each input, of its type: token ids, what is 1 where one is {@code real}, and of
   * others what {@link InputFeed} makes of these.
   *
   * @param ids {@code [rows, length]}
   */
  Map<String, NpyArray> feeds(int[] ids, int[] real, int rows, int length) {
    Map<String, NpyArray> feeds = new LinkedHashMap<>();
    for (TensorSpec input : signature.inputs().values()) {
      boolean isTokens = input.name().equals(tokens);
      var feed = input.name().equals(mask) ? InputFeed.MASK : isTokens ? null : of(input);
      int[] values = isTokens ? ids : feed.values(input, real, rows, length);
      var ints = NpyArray.of(values, InputFeed.shape(input, rows, length));
      feeds.put(input.name(), array(input, ints));
    }
    return feeds;
  }

  private InputFeed of(TensorSpec input) {
    try {
      return InputFeed.of(input);
    } catch (PerformerException e) {
      throw e.in(model + ": signature " + signature.name());
    }
  }

  private static NpyArray array(TensorSpec input, NpyArray values) {
    if (input.isFloat()) {
      return NpyArray.of(values.floats(), values.shape());
    } else if (input.type() != DataType.DT_BOOL) {
      return values; // the predictor widens whole numbers
    }
    int[] ints = values.ints();
    byte[] bytes = new byte[ints.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (ints[i] == 0 ? 0 : 1);
    }
    return new NpyArray(NpyType.BOOL, values.shape(), bytes);
  }

  /** Runs a signature on rows of unequal lengths: pads, masks, and cuts padding off. */
  record Runner(SignatureRunner predictor, TokenInput input) {
    /** What is kept of a batch's outputs. */
    interface Kept {
      Map<String, NpyArray> of(Map<String, NpyArray> outputs, List<int[]> ids, int length);
    }

    /** Some outputs of no more rows than {@link #rows} allows; they have as many rows. */
    Map<String, NpyArray> run(List<int[]> ids, int length, Collection<String> names) {
      int size = input.rows(ids.size());
      int[] padded = padded(ids, size, length);
      int[] real = new int[padded.length];
      for (int r = 0; r < ids.size(); r++) {
        for (int i = 0; i < ids.get(r).length; i++) {
          real[r * length + i] = input.isReal(ids.get(r)[i]) ? 1 : 0;
        }
      }
      var feeds = input.feeds(padded, real, size, length);
      var outputs = predictor.predict(input.signature().name(), feeds, names);
      outputs.replaceAll((name, array) -> head(name, array, ids.size(), size));
      return outputs;
    }

    /** The outputs that have a row for each sequence, as far as their shapes tell; sorted. */
    List<String> rowOutputs() {
      TensorSpec tokens = input.signature().input(input.tokens());
      var outputs = input.signature().outputs().values().stream();
      List<String> names =
          outputs.filter(o -> o.follows(tokens, 1)).map(TensorSpec::name).sorted().toList();
      Object all = input.signature().outputs().values();
      String none = "%s: signature %s has no output with a row for each sequence; it has %s";
      require(!names.isEmpty(), none, input.model(), input.signature().name(), all);
      return names;
    }

    /**
     * What is kept of outputs of all sequences, some at a time, and their 'tokens' [N, L] and
     * 'lengths' [N]; even batches are padded to the longest sequence of all, not to their own.
     */
    Map<String, NpyArray> run(
        TokenizedSequences sequences,
        int batch,
        boolean isEven,
        Collection<String> names,
        Kept kept) {
      int longest = sequences.longest();
      int limit = input.limit();
      if (longest > limit) {
        String found =
            "%s: a sequence has %d tokens, but the model takes %d; crop to a length of %3$d";
        throw new PerformerException(found.formatted(sequences.source(), longest, limit))
            .settledBy("length=" + limit);
      }
      List<int[]> ids = sequences.ids();
      int rows = input.rows(Math.min(batch, ids.size()));
      Map<String, List<NpyArray>> parts = new LinkedHashMap<>();
      for (int first = 0; first < ids.size(); first += rows) {
        List<int[]> part = ids.subList(first, Math.min(ids.size(), first + rows));
        int length = input.length(isEven ? longest : longest(part));
        kept.of(run(part, length, names), part, length)
            .forEach((name, y) -> parts.computeIfAbsent(name, k -> new ArrayList<>()).add(y));
      }
      Map<String, NpyArray> outputs = new LinkedHashMap<>();
      parts.forEach((name, list) -> outputs.put(name, NpyArray.join(list)));
      outputs.putAll(arrays(sequences, input.length(longest)));
      return outputs;
    }

    /** 'tokens' [N, L] and 'lengths' [N]. */
    Map<String, NpyArray> arrays(TokenizedSequences sequences, int length) {
      List<int[]> ids = sequences.ids();
      int rows = ids.size();
      int[] lengths = ids.stream().mapToInt(row -> row.length).toArray();
      Map<String, NpyArray> arrays = new LinkedHashMap<>();
      arrays.put("tokens", NpyArray.of(padded(ids, rows, length), rows, length));
      arrays.put("lengths", NpyArray.of(lengths, rows));
      return arrays;
    }

    /** Tokens of the longest row. */
    static int longest(List<int[]> rows) {
      return rows.stream().mapToInt(row -> row.length).max().orElseThrow();
    }

    /** {@code [size, length]}; rows beyond the last are all padding. */
    private int[] padded(List<int[]> ids, int size, int length) {
      int[] flat = new int[Math.multiplyExact(size, length)];
      Arrays.fill(flat, input.tokenizer().vocabulary().pad().orElse(0));
      for (int r = 0; r < ids.size(); r++) {
        System.arraycopy(ids.get(r), 0, flat, r * length, ids.get(r).length);
      }
      return flat;
    }

    private static NpyArray head(String name, NpyArray array, int rows, int size) {
      long[] shape = array.shape();
      boolean hasRows = shape.length > 0 && shape[0] == size;
      require(hasRows, "output %s %s has no row per sequence; give an .npz", name, array);
      return rows == size ? array : array.rows(0, rows);
    }
  }
}
