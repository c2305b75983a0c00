package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.ModelCard.Objective;
import dev.performer.savedmodel.PositionReader;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.TensorSpec;
import dev.performer.serving.PrefixLogits;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * A signature whose logits continue texts: {@code [B, L, V]} of each token, or {@code [B, V]} of
 * the last. Texts of one batch are padded behind where no logits depend on what stands there, else
 * those of one length run together; a fixed length in front of {@code [B, V]}.
 */
final class PrefixModel implements PrefixLogits {
  private static final String COST =
      "The model has no states to carry on: every new token reads the whole text again, so its cost grows with the text.";

  /** Logits of a run at most, in bytes. */
  private static final long MOST_BYTES = 512 << 20;

  private final TokenInput input;
  private final SavedModelPredictor predictor;
  private final String logits;
  private final PositionReader reader; // null for logits of the last token alone
  private final boolean shifts;
  private final boolean padsBehind;
  private final int width;
  private final List<String> notes;

  /**
   * Of a loaded model, which stays its owner's. @throws PerformerException if it continues no text
   */
  PrefixModel(SavedModelPredictor predictor, LanguageModelSpec spec) {
    this.predictor = predictor;
    input = spec.input();
    logits = spec.tensors().logits();
    notes = new ArrayList<>(spec.notes());
    notes.add(COST);
    TensorSpec output = input.signature().output(logits);
    if (!output.follows(input.signature().input(input.tokens()), 1)) {
      String text = "%s: the output %s has no row for each text, so it cannot be logits";
      throw new PerformerException(text.formatted(input.model(), output)).settledBy("logits");
    }
    boolean isEach = isOfEach(predictor, input, logits);
    reader = isEach ? new PositionReader(predictor, input.signature(), logits) : null;
    var causality = isEach ? Causality.of(input, reader) : Causality.UNKNOWN;
    requireCausal(spec, causality, isEach);
    padsBehind = causality.isCausal();
    Boolean known = spec.tensors().shiftsInputs();
    shifts = isEach && (known == null ? causality == Causality.EARLIER : known);
    int size = output.shape().isUnknown() ? -1 : (int) output.shape().get(-1);
    width = size > 0 ? size : after(List.of(new int[] {filler(input)})).length;
  }

  /** Whether an output is {@code [B, L, V]}; runs the model where its shape does not tell. */
  static boolean isOfEach(SavedModelPredictor predictor, TokenInput input, String output) {
    var shape = input.signature().output(output).shape();
    if (!shape.isUnknown()) {
      return shape.numDimensions() == 3;
    }
    var runner = new TokenInput.Runner(predictor, input);
    var text = List.of(new int[] {filler(input)});
    NpyArray found = runner.run(text, input.length(1), List.of(output)).get(output);
    return found.shape().length == 3;
  }

  private void requireCausal(LanguageModelSpec spec, Causality found, boolean isEach) {
    Objective known = spec.tensors().objective();
    String name = input.signature().name();
    if (known == null && isEach && !found.isCausal()) {
      String text =
          found == Causality.LATER
              ? "%s: the logits %s of signature %s depend on later tokens, as a masked language model's do, so they continue no text; if it was trained to all the same, choose the objective causal-lm"
              : "%s: nothing shows that the logits %s of signature %s are for the next token; if they are, choose the objective causal-lm";
      throw new PerformerException(text.formatted(input.model(), logits, name))
          .settledBy("objective");
    }
    if (known == Objective.MASKED_LM) {
      String text = "%s: is a masked language model, which continues no text";
      throw new PerformerException(text.formatted(input.model())).settledBy("objective");
    }
    if (known == null) {
      notes.add(
          isEach
              ? found.note()
              : "The output %s has one row of numbers a text: they are taken for the logits of the next token."
                  .formatted(logits));
    }
  }

  /** What was assumed, and what this costs, one line each. */
  List<String> notes() {
    return notes;
  }

  @Override
  public int vocabularySize() {
    return width;
  }

  /** Where logits are of the last token alone, a fixed length is a window that moves on. */
  @Override
  public OptionalInt positions() {
    int limit = input.limit();
    boolean isWindow = reader == null && input.isFixed();
    return limit == Integer.MAX_VALUE || isWindow ? OptionalInt.empty() : OptionalInt.of(limit);
  }

  @Override
  public boolean startsItself() {
    return shifts;
  }

  @Override
  public float[] after(List<int[]> texts) {
    var groups = new TreeMap<Integer, List<Integer>>(); // by the length that is run
    for (int r = 0; r < texts.size(); r++) {
      int length = padsBehind || input.isFixed() ? 0 : texts.get(r).length;
      groups.computeIfAbsent(length, key -> new ArrayList<>()).add(r);
    }
    float[][] rows = new float[texts.size()][];
    for (List<Integer> group : groups.values()) {
      int longest = group.stream().mapToInt(r -> texts.get(r).length).max().orElseThrow();
      int length = input.length(longest + (shifts ? 1 : 0));
      int most = (int) Math.max(1, MOST_BYTES / 4 / length / Math.max(1, width));
      int size = input.rows(Math.min(group.size(), reader == null ? group.size() : most));
      for (int first = 0; first < group.size(); first += size) {
        var part = group.subList(first, Math.min(group.size(), first + size));
        float[] values = run(part.stream().map(texts::get).toList(), size, length);
        int own = values.length / size;
        for (int i = 0; i < part.size(); i++) {
          rows[part.get(i)] = Arrays.copyOfRange(values, i * own, (i + 1) * own);
        }
      }
    }
    float[] all = new float[rows.length * rows[0].length];
    for (int r = 0; r < rows.length; r++) {
      System.arraycopy(rows[r], 0, all, r * rows[0].length, rows[0].length);
    }
    return all;
  }

  /** Of the token behind each text, {@code [size, V]}; rows beyond the last are padding. */
  private float[] run(List<int[]> texts, int size, int length) {
    int[] ids = new int[Math.multiplyExact(size, length)];
    Arrays.fill(ids, input.tokenizer().vocabulary().pad().orElse(0));
    int[] real = new int[ids.length];
    int[] at = new int[size];
    for (int r = 0; r < texts.size(); r++) {
      int[] text = texts.get(r);
      int count = Math.min(length, text.length);
      int from = r * length + (reader == null ? length - count : 0);
      System.arraycopy(text, text.length - count, ids, from, count);
      if (shifts) {
        ids[from + count] = filler(input);
      }
      at[r] = shifts ? count : count - 1;
      Arrays.fill(real, from, r * length + (reader == null ? length : at[r] + 1), 1);
    }
    var feeds = input.feeds(ids, real, size, length);
    if (reader != null) {
      return reader.read(feeds, at).floats();
    }
    String signature = input.signature().name();
    NpyArray values = predictor.predict(signature, feeds, List.of(logits)).get(logits);
    String expected = "the output %s is %s; expected logits [B, V] of the next token";
    boolean isRow = values.shape().length == 2 && values.shape()[0] == size;
    require(isRow, expected, logits, values);
    return values.floats();
  }

  /** Some token that stands where logits do not depend on it. */
  private static int filler(TokenInput input) {
    return IntStream.of(input.tokenizer().vocabulary().ordinaryIds()).findFirst().orElse(0);
  }
}
