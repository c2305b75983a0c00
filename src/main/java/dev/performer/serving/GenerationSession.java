package dev.performer.serving;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Generates with a causal language model: one token at a time at constant cost with the signatures
 * prefill and decode_step of a SavedModel, else reading the whole text for each token.
 *
 * <p>Safe for use from many threads at a time: a call keeps its states to itself and the model's
 * variables do not change. The listener hears in the caller's thread. Close the session when no
 * call is under way.
 */
public final class GenerationSession implements AutoCloseable {
  private final Decoder decoder;
  private final Decoder.Limits limits;
  private final Optional<SavedModelPredictor> owned;

  /** Hears of each token as it comes. */
  @FunctionalInterface
  public interface Listener {
    /** The next token of a row, which is the number of its prompt. */
    void token(int row, int token);
  }

  /**
   * The tokens behind a prompt, without the end token, the log-probability of each in nats as the
   * model gives it, whatever the sampler makes of that, and whether the model ended it itself.
   */
  public record Continuation(List<Integer> tokens, List<Double> logProbabilities, boolean ended) {}

  private GenerationSession(Decoder decoder, Optional<SavedModelPredictor> owned) {
    this.decoder = decoder;
    this.owned = owned;
    limits = decoder.limits();
  }

  /** Loads a SavedModel. @throws PerformerException if it has no configuration, or no states */
  public static GenerationSession open(Path model) {
    var loaded = SavedModelPredictor.load(model);
    try {
      return new GenerationSession(StateDecoder.of(loaded), Optional.of(loaded));
    } catch (RuntimeException e) {
      loaded.close();
      throw e;
    }
  }

  /**
   * Generates with the states of a loaded SavedModel, which stays the caller's.
   *
   * @throws PerformerException if it has no configuration, or no states
   */
  public static GenerationSession of(SavedModelPredictor loaded) {
    return new GenerationSession(StateDecoder.of(loaded), Optional.empty());
  }

  /** Generates with a model that has no states, which stays the caller's. */
  public static GenerationSession of(PrefixLogits model) {
    return new GenerationSession(new PrefixDecoder(model), Optional.empty());
  }

  /** How many tokens the model has logits for. */
  public int vocabularySize() {
    return limits.vocabularySize();
  }

  /** Whether the model puts a begin token in front, so that a prompt may be empty. */
  public boolean startsItself() {
    return limits.startsItself();
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
      return prompts.stream().map(prompt -> new Continuation(List.of(), List.of(), false)).toList();
    }
    Set<Integer> never = new HashSet<>(options.forbidden());
    limits.pad().ifPresent(never::add);
    Rows rows = new Rows(prompts, options.withForbidden(never), listener);
    try (Decoder.Texts texts = decoder.begin(prompts)) {
      for (int n = 1; ; n++) {
        rows.choose(texts.logits());
        if (rows.allDone() || n == options.maxTokens()) {
          return rows.continuations();
        }
        texts.add(rows.chosen, rows.ended);
      }
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
    int last = limits.vocabularySize() - 1;
    String known = "; the model knows the tokens 0 to " + last;
    for (int[] prompt : prompts) {
      require(
          prompt.length + shift() > 0,
          "a prompt is empty; this model has no begin token of its own, so give at least one token");
      for (int id : prompt) {
        boolean isPad = limits.pad().isPresent() && id == limits.pad().getAsInt();
        if (isPad || id < 0 || id > last) {
          String why = isPad ? ", which is padding to the model" : known;
          throw new PerformerException("a prompt has the token " + id + why);
        }
      }
      int room = room(prompt.length);
      if (newTokens > room) {
        String text = "a prompt of %d tokens and %d more exceed the %d positions of the model; %s";
        String way = room > 0 ? "ask for at most " + room + " tokens" : "shorten the prompt";
        int most = limits.positions().orElseThrow();
        throw new PerformerException(text.formatted(prompt.length, newTokens, most, way));
      }
    }
  }

  private int shift() {
    return startsItself() ? 1 : 0;
  }

  /**
   * How many tokens can follow a prompt of so many; 0 or less where it is too long. The last one
   * needs no position: the model does not read it.
   */
  public int room(int promptLength) {
    var longest = limits.positions();
    return longest.isEmpty()
        ? Integer.MAX_VALUE
        : longest.getAsInt() - (promptLength + shift()) + 1;
  }

  /** Frees the model that {@link #open} loaded. */
  @Override
  public void close() {
    owned.ifPresent(SavedModelPredictor::close);
  }

  /** The texts of a batch as they grow. */
  private static final class Rows {
    private final List<int[]> prompts;
    private final DecodingOptions options;
    private final Listener listener;
    private final Sampler.Choice choice;
    private final List<List<Integer>> texts = new ArrayList<>();
    private final List<List<Double>> logs = new ArrayList<>();
    private final boolean[] ended;

    /** {@code [B]}; of ended rows some token that was there before. */
    private final int[] chosen;

    private Rows(List<int[]> prompts, DecodingOptions options, Listener listener) {
      this.prompts = prompts;
      this.options = options;
      this.listener = listener;
      choice = options.sampler().begin(options.firstRow(), prompts.size());
      for (int[] prompt : prompts) {
        texts.add(Arrays.stream(prompt).boxed().collect(Collectors.toCollection(ArrayList::new)));
        logs.add(new ArrayList<>());
      }
      ended = new boolean[prompts.size()];
      chosen = new int[prompts.size()];
    }

    /** One token for each row that goes on, of the logits {@code [B, V]}. */
    private void choose(float[] logits) {
      int width = logits.length / ended.length;
      for (int r = 0; r < ended.length; r++) {
        if (ended[r]) {
          continue;
        }
        float[] own = Arrays.copyOfRange(logits, r * width, (r + 1) * width);
        int token = next(r, own);
        ended[r] = options.end().isPresent() && token == options.end().getAsInt();
        if (!ended[r]) {
          chosen[r] = token;
          texts.get(r).add(token);
          logs.get(r).add(logProbability(own, token));
          listener.token(r, token);
        }
      }
    }

    /** Not a number where a logit is infinite. */
    private static double logProbability(float[] logits, int token) {
      double largest = Double.NEGATIVE_INFINITY;
      for (float logit : logits) {
        largest = Math.max(largest, logit);
      }
      double sum = 0;
      for (float logit : logits) {
        sum += Math.exp(logit - largest);
      }
      return logits[token] - largest - Math.log(sum);
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

    private List<Continuation> continuations() {
      return IntStream.range(0, ended.length).mapToObj(this::continuation).toList();
    }

    private Continuation continuation(int row) {
      List<Integer> text = texts.get(row);
      var added = text.subList(prompts.get(row).length, text.size());
      return new Continuation(List.copyOf(added), List.copyOf(logs.get(row)), ended[row]);
    }
  }
}
