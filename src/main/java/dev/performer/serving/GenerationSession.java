package dev.performer.serving;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.DecodingSignatures;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.SplittableRandom;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;

/** Generates with a causal SavedModel that has the signatures prefill and decode_step. */
public final class GenerationSession implements AutoCloseable {
  private final SavedModelPredictor predictor;
  private final PerformerConfig config;
  private final SignatureSpec prefill;
  private final SignatureSpec step;

  /** Hears of each token as it comes. */
  @FunctionalInterface
  public interface Listener {
    /**
     * @param row which prompt
     * @param token its next token
     */
    void token(int row, int token);
  }

  /**
   * What became of a prompt.
   *
   * @param tokens that were generated, without the end token
   * @param ended whether the model ended the sequence itself
   */
  public record Continuation(List<Integer> tokens, boolean ended) {}

  private GenerationSession(SavedModelPredictor predictor, PerformerConfig config) {
    this.predictor = predictor;
    this.config = config;
    prefill = predictor.directory().signature(DecodingSignatures.PREFILL);
    step = predictor.directory().signature(DecodingSignatures.STEP);
  }

  /**
   * Loads a model.
   *
   * @throws PerformerException if it has no configuration, or cannot generate
   */
  public static GenerationSession open(Path model) {
    PerformerConfig config = PerformerModels.load(model).config();
    SavedModelPredictor predictor = SavedModelPredictor.load(model);
    if (!predictor.directory().signatures().containsKey(DecodingSignatures.STEP)) {
      var signatures = predictor.directory().signatures().keySet();
      predictor.close();
      throw new PerformerException(
          model
              + ": cannot generate: it has no signature "
              + DecodingSignatures.STEP
              + " (it has "
              + signatures
              + "); only causal language models (task causal-lm with causal attention in every"
              + " layer) do");
    }
    return new GenerationSession(predictor, config);
  }

  /** How the model is built. */
  public PerformerConfig config() {
    return config;
  }

  /**
   * Continues prompts, all of them at once.
   *
   * @param prompts token ids; lengths may differ
   * @param firstRow number of the first prompt, from which and the seed its random numbers come, so
   *     that batches do not change what a prompt becomes
   * @param newTokens at most so many tokens each
   * @param end token that ends a sequence
   * @param forbidden tokens that are never generated
   * @throws PerformerException if a prompt is empty where the model needs one, or prompt and new
   *     tokens are longer than the model's positions
   */
  public List<Continuation> generate(
      List<int[]> prompts,
      int firstRow,
      int newTokens,
      Sampling sampling,
      OptionalInt end,
      Set<Integer> forbidden,
      Listener listener) {
    check(prompts, newTokens);
    int rows = prompts.size();
    int shift = config.shiftBos() == null ? 0 : 1;
    List<List<Integer>> texts = new ArrayList<>();
    SplittableRandom[] random = new SplittableRandom[rows];
    int[] positions = new int[rows];
    for (int r = 0; r < rows; r++) {
      texts.add(new ArrayList<>(Arrays.stream(prompts.get(r)).boxed().toList()));
      random[r] =
          // Two rounds: rows of neighbouring seeds must not meet.
          new SplittableRandom(
              new SplittableRandom(sampling.seed()).nextLong()
                  ^ new SplittableRandom(~(long) (firstRow + r)).nextLong());
      positions[r] = prompts.get(r).length + shift;
    }
    boolean[] done = new boolean[rows];
    boolean[] ended = new boolean[rows];
    Result states = null;
    try {
      states = start(prompts);
      for (int n = 0; n < newTokens; n++) {
        float[] logits = logits(states);
        int[] chosen = new int[rows];
        boolean all = true;
        for (int r = 0; r < rows; r++) {
          if (done[r]) {
            continue;
          }
          float[] own =
              Arrays.copyOfRange(
                  logits, r * config.vocabularySize(), (r + 1) * config.vocabularySize());
          int token = sampling.next(own, texts.get(r), forbidden, random[r]);
          if (end.isPresent() && token == end.getAsInt()) {
            done[r] = true;
            ended[r] = true;
            continue;
          }
          chosen[r] = token;
          texts.get(r).add(token);
          listener.token(r, token);
          all = false;
        }
        if (all || n == newTokens - 1) {
          break;
        }
        Result next = advance(states, chosen, positions);
        states.close();
        states = next;
        for (int r = 0; r < rows; r++) {
          positions[r] += done[r] ? 0 : 1; // a row that is done stays within the positions
        }
      }
    } finally {
      if (states != null) {
        states.close();
      }
    }
    List<Continuation> results = new ArrayList<>();
    for (int r = 0; r < rows; r++) {
      List<Integer> text = texts.get(r);
      results.add(
          new Continuation(
              List.copyOf(text.subList(prompts.get(r).length, text.size())), ended[r]));
    }
    return results;
  }

  /**
   * Checks prompts before anything is generated.
   *
   * @throws PerformerException if one is empty where it cannot be, or longer than the model's
   *     positions allow
   */
  public void check(List<int[]> prompts, int newTokens) {
    for (int[] prompt : prompts) {
      if (prompt.length == 0 && config.shiftBos() == null) {
        throw new PerformerException(
            "a prompt is empty; this model has no begin token of its own, so give at least one"
                + " token");
      }
      long total = (long) prompt.length + newTokens;
      if (config.longestSequence().isPresent() && total > config.longestSequence().getAsInt()) {
        int longest = config.longestSequence().getAsInt();
        throw new PerformerException(
            "a prompt of %d tokens and %d more exceed the %d positions of the model; %s"
                .formatted(
                    prompt.length,
                    newTokens,
                    longest,
                    prompt.length < longest
                        ? "ask for at most " + (longest - prompt.length) + " tokens"
                        : "shorten the prompt"));
      }
    }
  }

  private Result start(List<int[]> prompts) {
    int rows = prompts.size();
    int length = Math.max(1, prompts.stream().mapToInt(p -> p.length).max().orElseThrow());
    int[] tokens = new int[rows * length];
    int[] lengths = new int[rows];
    for (int r = 0; r < rows; r++) {
      lengths[r] = prompts.get(r).length;
      System.arraycopy(prompts.get(r), 0, tokens, r * length, lengths[r]);
    }
    try (Tensor ids = Tensors.of(tokens, rows, length);
        Tensor counts = Tensors.of(lengths, rows)) {
      Map<String, Tensor> feeds = new LinkedHashMap<>();
      feeds.put(PerformerSignatures.TOKENS, ids);
      feeds.put(DecodingSignatures.LENGTHS, counts);
      return run(prefill, feeds);
    }
  }

  private Result advance(Result before, int[] chosen, int[] positions) {
    List<String> order = List.copyOf(step.outputs().keySet());
    try (Tensor token = Tensors.of(chosen, chosen.length);
        Tensor position = Tensors.of(positions, positions.length)) {
      Map<String, Tensor> feeds = new LinkedHashMap<>();
      feeds.put(DecodingSignatures.TOKEN, token);
      feeds.put(DecodingSignatures.POSITION, position);
      for (String name : step.inputs().keySet()) {
        if (order.contains(name)) {
          feeds.put(name, before.get(order.indexOf(name)));
        }
      }
      return run(step, feeds);
    }
  }

  private float[] logits(Result result) {
    List<String> order = List.copyOf(step.outputs().keySet());
    return Tensors.floats(result.get(order.indexOf(PerformerSignatures.LOGITS)));
  }

  /** Both signatures have the same outputs, which are fetched in the same order. */
  private Result run(SignatureSpec signature, Map<String, Tensor> feeds) {
    Session.Runner runner = predictor.session().runner();
    feeds.forEach((name, tensor) -> runner.feed(signature.input(name).tensor(), tensor));
    for (String name : step.outputs().keySet()) {
      TensorSpec output = signature.output(name);
      runner.fetch(output.tensor());
    }
    try {
      return runner.run();
    } catch (RuntimeException e) {
      throw new PerformerException(
          "the signature %s of %s failed: %s"
              .formatted(signature.name(), predictor.directory().path(), NativeErrors.firstLine(e)),
          e);
    }
  }

  /** Frees the model. */
  @Override
  public void close() {
    predictor.close();
  }
}
