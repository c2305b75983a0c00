package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.savedmodel.ImportedModel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Turns sequences into vectors, with a model's signature {@code embed} or, of encoders, its states.
 * Safe for use by several threads.
 */
public final class Embedder implements AutoCloseable {
  private static final List<String> STATES = List.of("embeddings", "sequence_output");
  private static final int BATCH = 8;

  private final TokenInput.Runner runner;

  private Embedder(TokenInput input) {
    runner = TokenInput.Runner.load(input);
  }

  /** Loads a model, as {@link Model#open(Path)} takes it. */
  public static Embedder load(Path model) {
    return load(Model.open(model));
  }

  /** Loads a model. @throws PerformerException if the meaning of its ids is not known */
  public static Embedder load(Model model) {
    return load(input(model, false));
  }

  /** Loads a model whose input is known. */
  public static Embedder load(TokenInput input) {
    return new Embedder(input);
  }

  /** How a model takes sequences to embed; {@code idsOnly} where no text is, only ids. */
  public static TokenInput input(Model model, boolean idsOnly) {
    boolean hasEmbed = model.signatures().containsKey("embed");
    String signature = hasEmbed ? "embed" : ImportedModel.DEFAULT_SIGNATURE;
    var options = ModelOptions.DEFAULT.withSignature(signature);
    return model.with(options.withTokenizer(model.options().tokenizer())).input(idsOnly);
  }

  /** How the model takes sequences, and reads them from files. */
  public TokenInput input() {
    return runner.input();
  }

  /** The mean over a text's tokens, {@code [E]}. */
  public float[] embed(String text) {
    return embed(List.of(text)).get(0);
  }

  /** The means over the tokens of texts, in their order, {@code [E]} each. */
  public List<float[]> embed(List<String> texts) {
    NpyArray vectors = embed(input().encode(texts), Pooling.MEAN, BATCH).get("embedding");
    float[] all = vectors.floats(); // [N, E]
    int size = (int) vectors.shape()[1];
    return IntStream.range(0, texts.size())
        .mapToObj(r -> Arrays.copyOfRange(all, r * size, (r + 1) * size))
        .toList();
  }

  /**
   * Embeds sequences.
   *
   * @param batch sequences that run at a time at most
   * @return first 'embedding' {@code [N, E]}, or 'embeddings' {@code [N, L, E]} without pooling,
   *     zero where there is padding; then 'tokens' {@code [N, L]} and 'lengths' {@code [N]}
   * @throws PerformerException if the model has no vectors of tokens
   */
  public Map<String, NpyArray> embed(TokenizedSequences sequences, Pooling pooling, int batch) {
    boolean isPerToken = pooling == Pooling.NONE;
    String name = isPerToken ? "embeddings" : "embedding";
    TokenInput.Runner.Kept pooled =
        (outputs, ids, length) ->
            Map.of(name, pooling.apply(states(outputs), ids, length, input()));
    return runner.run(sequences, batch, isPerToken, pooled);
  }

  private NpyArray states(Map<String, NpyArray> outputs) {
    String missing =
        "%s: has no vectors of tokens: expected a signature embed, or an output %s; there are %s";
    var found = STATES.stream().filter(outputs::containsKey).findFirst();
    String wanted = String.join(" or ", STATES);
    require(found.isPresent(), missing, input().model(), wanted, outputs.keySet());
    return outputs.get(found.get());
  }

  /** How the states of a sequence's tokens become one vector; padding never counts. */
  public enum Pooling {
    MEAN,
    MAX,
    SUM,
    /** The class token that the model puts in front, else the first token. */
    CLS,
    /** One vector per token. */
    NONE;

    /**
     * @param states {@code [B, L, E]}; {@code [B, L + 1, E]} where a class token stands in front
     * @param ids of each row, without padding behind them
     * @param length L
     * @return {@code [B, E]}; {@code [B, L, E]} for {@link #NONE}
     */
    private NpyArray apply(NpyArray states, List<int[]> ids, int length, TokenInput input) {
      int positions = (int) states.shape()[1];
      int size = (int) states.shape()[2];
      float[] all = states.floats();
      int rows = ids.size();
      int width = this == NONE ? length * size : size;
      float[] result = new float[rows * width];
      for (int r = 0; r < rows; r++) {
        int from = (r * positions + positions - length) * size; // behind a class token
        if (this == NONE) {
          System.arraycopy(all, from, result, r * width, ids.get(r).length * size);
        } else if (this == CLS) {
          System.arraycopy(all, r * positions * size, result, r * width, size);
        } else {
          for (int c = 0; c < size; c++) {
            result[r * size + c] = (float) pooled(all, from + c, size, ids.get(r), input);
          }
        }
      }
      long[] shape = this == NONE ? new long[] {rows, length, size} : new long[] {rows, size};
      return NpyArray.of(result, shape);
    }

    /** Of one component; 0 for a sequence without tokens. */
    private double pooled(float[] all, int from, int step, int[] ids, TokenInput input) {
      double sum = 0;
      double max = Double.NEGATIVE_INFINITY;
      int count = 0;
      for (int i = 0; i < ids.length; i++) {
        if (input.isReal(ids[i])) {
          double x = all[from + i * step];
          sum += x;
          max = Math.max(max, x);
          count++;
        }
      }
      return count == 0 ? 0 : this == MAX ? max : this == SUM ? sum : sum / count;
    }
  }

  /** Frees the model. */
  @Override
  public void close() {
    runner.close();
  }
}
