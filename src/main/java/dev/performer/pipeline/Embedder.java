package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Turns sequences into vectors, with a model's signature {@code embed} or, of encoders, its states.
 *
 * <pre>{@code
 * try (Embedder embedder = Embedder.load(Path.of("lm"))) {
 *   List<float[]> vectors = embedder.embed(List.of("MKTAYIAKQR", "MKVLAAGIVG")); // [E] each
 * }
 * }</pre>
 *
 * <p>Safe for use by several threads.
 */
public final class Embedder implements AutoCloseable {
  private static final List<String> STATES = List.of("embeddings", "sequence_output");
  private static final int BATCH = 8;

  private final TokenInput input;
  private final SavedModelPredictor predictor;

  private Embedder(TokenInput input) {
    this.input = input;
    predictor = SavedModelPredictor.load(input.model());
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

  /**
   * How a model takes the sequences that are embedded.
   *
   * @param idsOnly whether they come as ids, so that nothing need say what these mean
   */
  public static TokenInput input(Model model, boolean idsOnly) {
    ModelOptions options = model.options();
    boolean hasEmbed = model.signatures().containsKey("embed");
    return model
        .with(
            ModelOptions.builder()
                .signature(hasEmbed ? "embed" : ImportedModel.DEFAULT_SIGNATURE)
                .tokenizer(options.tokenizer())
                .build())
        .input(idsOnly);
  }

  /** How the model takes sequences, and reads them from files. */
  public TokenInput input() {
    return input;
  }

  /** The mean over a text's tokens, {@code [E]}. */
  public float[] embed(String text) {
    return embed(List.of(text)).get(0);
  }

  /** The means over the tokens of texts, in their order, {@code [E]} each. */
  public List<float[]> embed(List<String> texts) {
    NpyArray vectors =
        embed(input.encode(texts), SequencePooling.MEAN, BATCH).values().iterator().next();
    float[] all = vectors.floats(); // [N, E]
    int size = (int) vectors.shape()[1];
    List<float[]> rows = new ArrayList<>();
    for (int r = 0; r < texts.size(); r++) {
      rows.add(Arrays.copyOfRange(all, r * size, (r + 1) * size));
    }
    return rows;
  }

  /**
   * Embeds sequences.
   *
   * @param batch sequences that run at a time at most
   * @return first 'embedding' {@code [N, E]}, or 'embeddings' {@code [N, L, E]} without pooling,
   *     zero where there is padding; then 'tokens' {@code [N, L]} and 'lengths' {@code [N]}
   * @throws PerformerException if the model has no vectors of tokens
   */
  public Map<String, NpyArray> embed(
      TokenizedSequences sequences, SequencePooling pooling, int batch) {
    TokenRunner runner = new TokenRunner(predictor, input);
    boolean isPerToken = pooling == SequencePooling.NONE;
    int length = input.length(sequences.longest());
    List<int[]> ids = sequences.ids();
    int rows = input.rows(Math.min(batch, ids.size()));
    List<NpyArray> parts = new ArrayList<>();
    for (int first = 0; first < ids.size(); first += rows) {
      List<int[]> part = ids.subList(first, Math.min(ids.size(), first + rows));
      int padded = isPerToken ? length : input.length(TokenRunner.longest(part));
      parts.add(pooling.apply(states(runner.run(part, padded)), part, padded, input));
    }
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    arrays.put(isPerToken ? "embeddings" : "embedding", TokenRunner.join(parts));
    arrays.putAll(runner.arrays(sequences, length));
    return arrays;
  }

  private NpyArray states(Map<String, NpyArray> outputs) {
    return STATES.stream()
        .filter(outputs::containsKey)
        .map(outputs::get)
        .findFirst()
        .orElseThrow(
            () ->
                new PerformerException(
                    "%s: has no vectors of tokens: expected a signature embed, or an output %s; there are %s"
                        .formatted(input.model(), String.join(" or ", STATES), outputs.keySet())));
  }

  /** Frees the model. */
  @Override
  public void close() {
    predictor.close();
  }
}
