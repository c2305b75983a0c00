package dev.performer.serving;

import static dev.performer.PerformerException.require;
import static dev.performer.savedmodel.PerformerSignatures.STEP;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
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
  private final List<String> outputs;

  /** Hears of each token as it comes. */
  @FunctionalInterface
  public interface Listener {
    /** The next token of a row, which is the number of its prompt. */
    void token(int row, int token);
  }

  /** The tokens behind a prompt, without the end token, and whether the model ended it itself. */
  public record Continuation(List<Integer> tokens, boolean ended) {}

  private GenerationSession(SavedModelPredictor predictor, PerformerConfig config) {
    this.predictor = predictor;
    this.config = config;
    prefill = predictor.directory().signature(PerformerSignatures.PREFILL);
    step = predictor.directory().signature(STEP);
    outputs = List.copyOf(step.outputs().keySet());
  }

  /** Loads a model. @throws PerformerException if it has no configuration, or cannot generate */
  public static GenerationSession open(Path model) {
    var directory = SavedModelDirectory.open(model);
    PerformerConfig config = PerformerModels.requireConfig(model);
    var signatures = directory.signatures().keySet();
    String text =
        "%s: cannot generate: it has no signature %s (it has %s); only causal language models (task causal-lm with causal attention in every layer) do";
    require(signatures.contains(STEP), text, model, STEP, signatures);
    var predictor = SavedModelPredictor.load(directory, SavedModelPredictor.TIMEOUT);
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
    check(prompts, options.maxTokens());
    if (prompts.isEmpty() || options.maxTokens() == 0) {
      return prompts.stream().map(prompt -> new Continuation(List.of(), false)).toList();
    }
    Set<Integer> never = new HashSet<>(options.forbidden());
    if (config.padId() != null) {
      never.add(config.padId());
    }
    Rows rows = new Rows(prompts, options.withForbidden(never), shift(), listener);
    Result states = start(prompts);
    try {
      for (int n = 1; ; n++) {
        rows.choose(Tensors.floats(states.get(outputs.indexOf(PerformerSignatures.LOGITS))));
        if (rows.allDone() || n == options.maxTokens()) {
          return rows.continuations();
        }
        Result next = advance(states, rows.chosen, rows.positions);
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
    int last = config.vocabularySize() - 1;
    String known = "; the model knows the tokens 0 to " + last;
    for (int[] prompt : prompts) {
      require(
          prompt.length + shift() > 0,
          "a prompt is empty; this model has no begin token of its own, so give at least one token");
      for (int id : prompt) {
        boolean isPad = config.padId() != null && id == config.padId();
        if (isPad || id < 0 || id > last) {
          String why = isPad ? ", which is padding to the model" : known;
          throw new PerformerException("a prompt has the token " + id + why);
        }
      }
      int room = room(prompt.length);
      if (newTokens > room) {
        String text = "a prompt of %d tokens and %d more exceed the %d positions of the model; %s";
        String way = room > 0 ? "ask for at most " + room + " tokens" : "shorten the prompt";
        int most = config.longestSequence().orElseThrow();
        throw new PerformerException(text.formatted(prompt.length, newTokens, most, way));
      }
    }
  }

  /** 1 where the model puts a begin token in front. */
  private int shift() {
    return config.shiftBos() == null ? 0 : 1;
  }

  /**
   * How many tokens can follow a prompt of so many; 0 or less where it is too long. The last one
   * needs no position: the model does not read it.
   */
  public int room(int promptLength) {
    var longest = config.longestSequence();
    return longest.isEmpty()
        ? Integer.MAX_VALUE
        : longest.getAsInt() - (promptLength + shift()) + 1;
  }

  private Result start(List<int[]> prompts) {
    int rows = prompts.size();
    int[] lengths = prompts.stream().mapToInt(prompt -> prompt.length).toArray();
    int longest = Math.max(1, Arrays.stream(lengths).max().orElseThrow());
    int[] tokens = new int[rows * longest];
    for (int r = 0; r < rows; r++) {
      System.arraycopy(prompts.get(r), 0, tokens, r * longest, lengths[r]);
    }
    try (Tensor ids = Tensors.of(tokens, rows, longest);
        Tensor counts = Tensors.of(lengths, rows)) {
      return run(
          prefill, Map.of(PerformerSignatures.TOKENS, ids, PerformerSignatures.LENGTHS, counts));
    }
  }

  private Result advance(Result before, int[] chosen, int[] positions) {
    try (Tensor token = Tensors.of(chosen, chosen.length);
        Tensor position = Tensors.of(positions, positions.length)) {
      Map<String, Tensor> feeds = new HashMap<>();
      feeds.put(PerformerSignatures.TOKEN, token);
      feeds.put(PerformerSignatures.POSITION, position);
      for (String name : step.inputs().keySet()) {
        if (outputs.contains(name)) {
          feeds.put(name, before.get(outputs.indexOf(name)));
        }
      }
      return run(step, feeds);
    }
  }

  /** Both signatures have the same outputs, which are fetched in the same order. */
  private Result run(SignatureSpec signature, Map<String, Tensor> feeds) {
    Session.Runner runner = predictor.session().runner();
    feeds.forEach((name, tensor) -> runner.feed(signature.input(name).tensor(), tensor));
    outputs.forEach(name -> runner.fetch(signature.output(name).tensor()));
    try {
      return runner.run();
    } catch (RuntimeException e) {
      Path model = predictor.directory().path();
      String text = "the signature %s of %s failed: %s";
      throw new PerformerException(
          text.formatted(signature.name(), model, NativeErrors.firstLine(e)), e);
    }
  }

  /** Frees the model. */
  @Override
  public void close() {
    predictor.close();
  }

  /** The texts of a batch as they grow. */
  private static final class Rows {
    private final List<int[]> prompts;
    private final DecodingOptions options;
    private final Listener listener;
    private final Sampler.Choice choice;
    private final List<List<Integer>> texts = new ArrayList<>();
    private final boolean[] ended;

    /** {@code [B]}; of ended rows some token that was there before. */
    private final int[] chosen;

    /** Where the chosen tokens stand, {@code [B]}. */
    private final int[] positions;

    private Rows(List<int[]> prompts, DecodingOptions options, int shift, Listener listener) {
      this.prompts = prompts;
      this.options = options;
      this.listener = listener;
      choice = options.sampler().begin(options.firstRow(), prompts.size());
      for (int[] prompt : prompts) {
        texts.add(Arrays.stream(prompt).boxed().collect(Collectors.toCollection(ArrayList::new)));
      }
      ended = new boolean[prompts.size()];
      chosen = new int[prompts.size()];
      positions = prompts.stream().mapToInt(prompt -> prompt.length + shift).toArray();
    }

    /** One token for each row that goes on, of the logits {@code [B, V]}. */
    private void choose(float[] logits) {
      int width = logits.length / ended.length;
      for (int r = 0; r < ended.length; r++) {
        if (ended[r]) {
          continue;
        }
        int token = next(r, Arrays.copyOfRange(logits, r * width, (r + 1) * width));
        ended[r] = options.end().isPresent() && token == options.end().getAsInt();
        if (!ended[r]) {
          chosen[r] = token;
          texts.get(r).add(token);
          listener.token(r, token);
        }
      }
    }

    private int next(int row, float[] logits) {
      List<Integer> text = texts.get(row);
      try {
        return choice.next(row, logits, text, options.forbidden());
      } catch (PerformerException e) {
        int number = text.size() - prompts.get(row).length + 1;
        throw e.in("new token %d of prompt %d".formatted(number, options.firstRow() + row + 1));
      }
    }

    private boolean allDone() {
      return IntStream.range(0, ended.length).allMatch(r -> ended[r]);
    }

    /** The chosen tokens were read. A row that is done stays within the positions. */
    private void moveOn() {
      for (int r = 0; r < ended.length; r++) {
        positions[r] += ended[r] ? 0 : 1;
      }
    }

    private List<Continuation> continuations() {
      return IntStream.range(0, ended.length).mapToObj(this::continuation).toList();
    }

    private Continuation continuation(int row) {
      List<Integer> text = texts.get(row);
      var added = text.subList(prompts.get(row).length, text.size());
      return new Continuation(List.copyOf(added), ended[row]);
    }
  }
}
