package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.model.TextEmbedding;
import dev.performer.model.TextEmbedding.Pooling;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureRunner;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Turns sequences into vectors, with a model's signature {@code embed} or with any output that has
 * vectors, pooled and normalised as the model records it.
 *
 * <p>Safe for use by several threads.
 */
public final class Embedder implements AutoCloseable {
  private static final int BATCH = 8;

  private final EmbeddingSpec spec;
  private final TokenInput.Runner runner;
  private final Optional<SavedModelPredictor> owned;

  private Embedder(
      EmbeddingSpec spec, SignatureRunner loaded, Optional<SavedModelPredictor> owned) {
    this.spec = spec;
    this.owned = owned;
    runner = new TokenInput.Runner(loaded, spec.input());
  }

  /** Loads a model, as {@link Model#open(Path)} takes it. */
  public static Embedder load(Path model) {
    return load(Model.open(model));
  }

  /** Loads a model. @throws PerformerException if the meaning of its ids is not known */
  public static Embedder load(Model model) {
    return load(EmbeddingSpec.of(model));
  }

  /** Loads a model whose vectors are known. */
  public static Embedder load(EmbeddingSpec spec) {
    var loaded = SavedModelPredictor.load(spec.input().model());
    return new Embedder(spec, loaded, Optional.of(loaded));
  }

  /** On a model that is loaded, and stays the caller's. */
  public static Embedder of(Predictor loaded) {
    return of(loaded, EmbeddingSpec.of(loaded.model()));
  }

  /** The same with vectors of another kind. */
  public static Embedder of(Predictor loaded, EmbeddingSpec spec) {
    return new Embedder(spec, loaded.runner(), Optional.empty());
  }

  /** How the model takes sequences, and reads them from files. */
  public TokenInput input() {
    return spec.input();
  }

  /** The vector of a text, {@code [E]}. */
  public float[] embed(String text) {
    return embed(List.of(text)).get(0);
  }

  /** The vectors of texts, in their order, {@code [E]} each. */
  public List<float[]> embed(List<String> texts) {
    NpyArray vectors = embed(input().encode(texts), BATCH).get("embedding");
    String perToken = "%s: gives a vector for each token; choose how they are pooled";
    require(vectors != null, perToken, input().model());
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
   * @throws PerformerException if the output has other shapes
   */
  public Map<String, NpyArray> embed(TokenizedSequences sequences, int batch) {
    boolean isEven = spec.pooling() == Pooling.NONE;
    return runner.run(sequences, batch, isEven, List.of(spec.output()), this::vectors);
  }

  /** What it gives for many rows; it stays usable as long as this. */
  public RowModel rows() {
    return new EmbeddedRows(this, spec, runner);
  }

  Map<String, NpyArray> vectors(Map<String, NpyArray> outputs, List<int[]> ids, int length) {
    NpyArray states = outputs.get(spec.output());
    boolean isVector = states.shape().length == 2;
    boolean isKnown = isVector || states.shape().length == 3 && states.shape()[1] >= length;
    String unfit = "%s: the output %s is %s; expected [B, E], or [B, L, E] of each token";
    require(isKnown, unfit, input().model(), spec.output(), states);
    if (!isVector && spec.pooling() == Pooling.NONE) {
      return Map.of("embeddings", perToken(states, ids, length));
    }
    int rows = ids.size();
    int size = (int) states.shape()[states.shape().length - 1];
    float[] all = states.floats();
    float[] result = isVector ? all : new float[rows * size];
    for (int r = 0; r < rows; r++) {
      float[] vector =
          isVector
              ? Arrays.copyOfRange(all, r * size, (r + 1) * size)
              : pooled(all, r, (int) states.shape()[1], length, ids.get(r), size);
      if (spec.normalize()) {
        TextEmbedding.normalize(vector);
      }
      System.arraycopy(vector, 0, result, r * size, size);
    }
    return Map.of("embedding", NpyArray.of(result, rows, size));
  }

  /** Of a class token that stands in front, nothing. */
  private NpyArray perToken(NpyArray states, List<int[]> ids, int length) {
    int positions = (int) states.shape()[1];
    int size = (int) states.shape()[2];
    float[] all = states.floats();
    float[] result = new float[ids.size() * length * size];
    for (int r = 0; r < ids.size(); r++) {
      int from = (r * positions + positions - length) * size;
      System.arraycopy(all, from, result, r * length * size, ids.get(r).length * size);
    }
    return NpyArray.of(result, ids.size(), length, size);
  }

  /** Zero for a sequence without tokens. */
  private float[] pooled(float[] all, int row, int positions, int length, int[] ids, int size) {
    boolean isFirst = spec.pooling() == Pooling.CLS;
    int from = (row * positions + (isFirst ? 0 : positions - length)) * size;
    boolean[] real = new boolean[Math.max(ids.length, isFirst ? 1 : 0)];
    for (int i = 0; i < ids.length; i++) {
      real[i] = input().isReal(ids[i]);
    }
    boolean isMax = spec.pooling() == Pooling.MAX;
    double[] weights = isMax ? null : spec.pooling().weights(real);
    float[] vector = new float[size];
    for (int c = 0; c < size; c++) {
      double sum = 0;
      double max = Double.NEGATIVE_INFINITY;
      for (int i = 0; i < real.length; i++) {
        double x = all[from + i * size + c];
        sum += isMax || weights[i] == 0 ? 0 : weights[i] * x;
        max = real[i] ? Math.max(max, x) : max;
      }
      vector[c] = (float) (!isMax ? sum : max == Double.NEGATIVE_INFINITY ? 0 : max);
    }
    return vector;
  }

  /** Frees the model that was loaded for it. */
  @Override
  public void close() {
    owned.ifPresent(SavedModelPredictor::close);
  }
}
