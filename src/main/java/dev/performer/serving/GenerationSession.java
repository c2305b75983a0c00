package dev.performer.serving;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.DecodingSignatures;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;

/**
 * Generates with a causal SavedModel that has the signatures prefill and decode_step.
 *
 * <p>Safe for use from many threads at a time: a call keeps its states to itself and the model's
 * variables do not change. The listener hears in the caller's thread. Close the session when no
 * call is under way.
 */
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
    SavedModelDirectory directory = SavedModelDirectory.open(model);
    PerformerConfig config = PerformerModels.requireConfig(model);
    SavedModelPredictor predictor =
        SavedModelPredictor.load(directory, SavedModelPredictor.TIMEOUT);
    if (!predictor.directory().signatures().containsKey(DecodingSignatures.STEP)) {
      var signatures = predictor.directory().signatures().keySet();
      predictor.close();
      throw new PerformerException(
          ("%s: cannot generate: it has no signature %s (it has %s); only causal language"
                  + " models (task causal-lm with causal attention in every layer) do")
              .formatted(model, DecodingSignatures.STEP, signatures));
    }
    return new GenerationSession(predictor, config);
  }

  /** How the model is built. */
  public PerformerConfig config() {
    return config;
  }

  /** Continues prompts, all of them at once. */
  public List<Continuation> generate(List<int[]> prompts, DecodingOptions options) {
    return generate(prompts, options, (row, token) -> {});
  }

  /**
   * Continues prompts, all of them at once.
   *
   * @param prompts token ids; lengths may differ
   * @throws PerformerException if {@link #check} fails, or the model gives NaN as a logit
   */
  public List<Continuation> generate(
      List<int[]> prompts, DecodingOptions options, Listener listener) {
    int newTokens = options.maxTokens();
    check(prompts, newTokens);
    if (prompts.isEmpty() || newTokens == 0) {
      return prompts.stream().map(prompt -> new Continuation(List.of(), false)).toList();
    }
    Set<Integer> never = new HashSet<>(options.forbidden());
    if (config.padId() != null) {
      never.add(config.padId());
    }
    int first = options.firstRow();
    GeneratedRows rows = new GeneratedRows(prompts, first, config.shiftBos() == null ? 0 : 1);
    Sampler.Choice choice = options.sampler().begin(first, prompts.size());
    Result states = start(prompts);
    try {
      for (int n = 1; ; n++) {
        rows.choose(choice, logits(states), options.end(), never, listener);
        if (rows.allDone() || n == newTokens) {
          return rows.continuations();
        }
        Result next = advance(states, rows.chosen(), rows.positions());
        states.close();
        states = next;
        rows.moveOn();
      }
    } finally {
      states.close();
    }
  }

  /**
   * Checks prompts before anything is generated.
   *
   * @throws PerformerException if one is empty where it cannot be, has ids that the model does not
   *     know, or is longer than the model's positions allow
   */
  public void check(List<int[]> prompts, int newTokens) {
    DecodingOptions.requireNotNegative(newTokens);
    for (int[] prompt : prompts) {
      if (prompt.length == 0 && config.shiftBos() == null) {
        throw new PerformerException(
            "a prompt is empty; this model has no begin token of its own, so give at least one token");
      }
      for (int id : prompt) {
        if (config.padId() != null && id == config.padId()) {
          throw new PerformerException(
              "a prompt has the token %d, which is padding to the model".formatted(id));
        }
        if (id < 0 || id >= config.vocabularySize()) {
          throw new PerformerException(
              "a prompt has the token %d; the model knows the tokens 0 to %d"
                  .formatted(id, config.vocabularySize() - 1));
        }
      }
      if (newTokens > room(prompt.length)) {
        throw new PerformerException(
            "a prompt of %d tokens and %d more exceed the %d positions of the model; %s"
                .formatted(
                    prompt.length,
                    newTokens,
                    config.longestSequence().orElseThrow(),
                    room(prompt.length) > 0
                        ? "ask for at most " + room(prompt.length) + " tokens"
                        : "shorten the prompt"));
      }
    }
  }

  /**
   * How many tokens can follow a prompt. The last one needs no position: the model does not read
   * it.
   *
   * @param promptLength its number of tokens
   * @return 0 or less where the prompt is too long
   */
  public int room(int promptLength) {
    if (config.longestSequence().isEmpty()) {
      return Integer.MAX_VALUE;
    }
    int read = promptLength + (config.shiftBos() == null ? 0 : 1);
    return config.longestSequence().getAsInt() - read + 1;
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
