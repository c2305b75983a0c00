package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.savedmodel.ImportedModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
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

  private final TokenRunner runner;

  private Embedder(TokenInput input) {
    runner = TokenRunner.load(input);
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
    boolean hasEmbed = model.signatures().containsKey("embed");
    var options =
        ModelOptions.builder()
            .signature(hasEmbed ? "embed" : ImportedModel.DEFAULT_SIGNATURE)
            .tokenizer(model.options().tokenizer());
    return model.with(options.build()).input(idsOnly);
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
    NpyArray vectors =
        embed(input().encode(texts), SequencePooling.MEAN, BATCH).values().iterator().next();
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
    boolean isPerToken = pooling == SequencePooling.NONE;
    String name = isPerToken ? "embeddings" : "embedding";
    return runner.run(
        sequences,
        batch,
        isPerToken,
        (outputs, ids, length) ->
            Map.of(name, pooling.apply(states(outputs), ids, length, input())));
  }

  private NpyArray states(Map<String, NpyArray> outputs) {
    for (String name : STATES) {
      if (outputs.containsKey(name)) {
        return outputs.get(name);
      }
    }
    throw new PerformerException(
        "%s: has no vectors of tokens: expected a signature embed, or an output %s; there are %s"
            .formatted(input().model(), String.join(" or ", STATES), outputs.keySet()));
  }

  /** Frees the model. */
  @Override
  public void close() {
    runner.close();
  }
}
