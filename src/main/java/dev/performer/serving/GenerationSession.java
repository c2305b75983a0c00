package dev.performer.serving;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.TooLongException;
import dev.performer.savedmodel.SavedModelPredictor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Generates with a causal language model: one token at a time at constant cost with the signatures
 * prefill and decode_step of a SavedModel, else reading the whole text for each token.
 *
 * <p>Safe for use from many threads at a time: a call keeps its states to itself and the model's
 * variables do not change. The listener hears in the caller's thread. Close the session when no
 * call is under way.
 */
public final class GenerationSession implements AutoCloseable {
  private static final int CHUNK = 512;

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
    List<Row> rows = new ArrayList<>();
    var choice = options.sampler().begin(options.firstRow(), prompts.size());
    var never = never(options.forbidden());
    try (TokenScheduler scheduler = scheduler(CHUNK, 0)) {
      for (int r = 0; r < prompts.size(); r++) {
        Row row = new Row(r, options, listener);
        rows.add(row);
        scheduler.add(
            new TokenRequest(
                prompts.get(r),
                null,
                options.maxTokens(),
                choice,
                r,
                options.end(),
                never,
                0,
                false,
                false),
            row);
      }
      while (scheduler.size() > 0) {
        scheduler.turn();
        rows.forEach(Row::requireGood);
      }
    }
    return rows.stream().map(Row::continuation).toList();
  }

  /** What continues texts that come and go, in turns that the caller takes. */
  public TokenScheduler scheduler(int chunk, long cacheBytes) {
    return new TokenScheduler(decoder, chunk, cacheBytes);
  }

  /** Tokens that never come: these, and padding. */
  public Set<Integer> never(Set<Integer> forbidden) {
    Set<Integer> never = new HashSet<>(forbidden);
    limits.pad().ifPresent(never::add);
    return Set.copyOf(never);
  }

  /** A text in a file. @param ids its tokens, of which the first ones are read */
  public record Saved(TextState state, int[] ids) {}

  /**
   * Writes a text and its states.
   *
   * @param model what no other model has
   */
  public void save(Saved text, String model, OutputStream out) throws IOException {
    StateFile.write(text.state(), text.ids(), model, out);
  }

  /**
   * Reads what {@link #save} wrote; the caller closes its state.
   *
   * @throws PerformerException if it is damaged, or of another model
   */
  public Saved restore(String model, InputStream in) {
    return StateFile.read(decoder, model, in);
  }

  /**
   * Checks prompts before anything is generated.
   *
   * @throws TooLongException if one is longer than the model's positions allow
   * @throws PerformerException if one is empty where it cannot be, or has ids that the model does
   *     not know
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
        throw new TooLongException(text.formatted(prompt.length, newTokens, most, way));
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

  /** Frees what it keeps, and the model that {@link #open} loaded. */
  @Override
  public void close() {
    decoder.close();
    owned.ifPresent(SavedModelPredictor::close);
  }

  /** A text as it grows. */
  private static final class Row implements TokenListener {
    private final int row;
    private final DecodingOptions options;
    private final Listener listener;
    private final List<Integer> tokens = new ArrayList<>();
    private final List<Double> logs = new ArrayList<>();
    private boolean ended;
    private RuntimeException failure;

    private Row(int row, DecodingOptions options, Listener listener) {
      this.row = row;
      this.options = options;
      this.listener = listener;
    }

    @Override
    public boolean token(Scored token) {
      tokens.add(token.id());
      logs.add(token.logProbability());
      listener.token(row, token.id());
      return true;
    }

    @Override
    public void done(End end, int cached, TextState state) {
      ended = end == End.TOKEN;
    }

    @Override
    public void failed(RuntimeException why) {
      failure = why;
    }

    private void requireGood() {
      if (failure instanceof PerformerException e) {
        int number = options.firstRow() + row + 1;
        throw e.in("new token %d of prompt %d".formatted(tokens.size() + 1, number));
      }
      if (failure != null) {
        throw failure;
      }
    }

    private Continuation continuation() {
      return new Continuation(List.copyOf(tokens), List.copyOf(logs), ended);
    }
  }
}
