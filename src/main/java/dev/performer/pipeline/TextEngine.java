package dev.performer.pipeline;

import dev.performer.BusyException;
import dev.performer.PerformerException;
import dev.performer.data.Tokenizer;
import dev.performer.serving.DecodingOptions;
import dev.performer.serving.GenerationSession;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/**
 * Continues many texts at once on one loaded model. The same seed gives the tokens that {@link
 * TextGenerator} gives, whatever else runs. Safe for use by several threads.
 */
public final class TextEngine implements AutoCloseable {
  private final Model model;
  private final TextModel texts;
  private final Sessions sessions;
  private final ThreadPoolExecutor worker;
  private final AtomicLong tokens = new AtomicLong();

  private TextEngine(Model model, TextModel texts, EngineOptions options) {
    this.model = model;
    this.texts = texts;
    sessions = new Sessions(this, options.sessionExpiry());
    worker =
        new ThreadPoolExecutor(
            1, 1, 0, TimeUnit.SECONDS, new ArrayBlockingQueue<>(Math.max(1, options.maxQueue())));
  }

  /**
   * On a loaded model, which stays its owner's.
   *
   * @throws PerformerException if it cannot generate, or has no tokenizer
   */
  public static TextEngine of(Predictor loaded, EngineOptions options) {
    return new TextEngine(loaded.model(), TextModel.of(loaded.model(), loaded.loaded()), options);
  }

  /**
   * A token of a text that goes on. @param likeliest as many as were wished, the likeliest first
   */
  public record Token(int id, String piece, double logProbability, List<Likely> likeliest) {}

  /** A token that might have come, with the text of it alone. */
  public record Likely(int id, String text, double logProbability) {}

  /** Why a text ended: by the model, a stop, its length, or whoever wanted it. */
  public enum Reason {
    END,
    STOP,
    LENGTH,
    CANCELLED
  }

  /**
   * A text that has ended.
   *
   * @param text without prompt, end token and stop
   * @param tokens all that were chosen, but for the end token
   * @param promptTokens tokens of the prompt
   * @param cachedTokens of them, those that known states stood for
   * @param rest the end of the text, which no token's piece had: it was held back as the beginning
   *     of a stop, or of a character
   */
  public record Finished(
      Reason reason,
      String text,
      List<Token> tokens,
      int promptTokens,
      int cachedTokens,
      String rest) {}

  /** Hears of one text, in order, from one thread at a time; it must not block. */
  public interface Listener {
    /** The prompt's tokens, where they are scored; the first has NaN where nothing is before it. */
    default void prompt(List<Token> tokens) {}

    /** A token; its piece is the text that is certain by now. */
    default void token(Token token) {}

    /**
     * The last call, unless {@link #failed} is. What was held back and is no stop ends the text.
     */
    void done(Finished finished);

    /** The last call, unless {@link #done} is. */
    void failed(PerformerException why);
  }

  /** A request on its way. */
  public interface Ticket {
    /** Ends it soon, as {@link Reason#CANCELLED}; nothing where it has ended. */
    void cancel();
  }

  /**
   * Begins a text, and returns at once.
   *
   * @throws BusyException if too many wait
   * @throws dev.performer.NotFoundException if its session is not open
   * @throws PerformerException if it cannot run: its prompt, or what does not fit together
   */
  public Ticket submit(TextRequest request, Listener listener) {
    List<Integer> ids = prompt(request);
    int count = request.maxTokens().orElse(texts.usualTokens(ids.size()));
    int[] prompt = ids.stream().mapToInt(id -> id).toArray();
    texts.session().check(List.of(prompt), count);
    boolean[] cancelled = new boolean[1];
    try {
      worker.execute(() -> run(request, prompt, count, listener, cancelled));
    } catch (RejectedExecutionException e) {
      throw new BusyException("too many texts wait; try again later");
    }
    return () -> cancelled[0] = true;
  }

  List<Integer> prompt(TextRequest request) {
    List<Integer> before = request.continued().map(sessions::ids).orElse(new ArrayList<>());
    List<Integer> more =
        request.ids() != null
            ? request.ids()
            : Arrays.stream(
                    before.isEmpty()
                        ? texts.encode(request.prompt())
                        : texts.more(request.prompt()))
                .boxed()
                .collect(Collectors.toList());
    before.addAll(more);
    return before;
  }

  private static final class Ended extends RuntimeException {
    private final Reason reason;

    private Ended(Reason reason) {
      super(null, null, false, false);
      this.reason = reason;
    }
  }

  private void run(
      TextRequest request, int[] prompt, int count, Listener listener, boolean[] cancelled) {
    var text = new StoppedText(texts.tokenizer(), prompt, request.stops());
    List<Token> tokens = new ArrayList<>();
    Reason reason = Reason.LENGTH;
    var end = texts.tokenizer().vocabulary().eos();
    var decoding =
        new DecodingOptions(count, request.sampler(), end, texts.forbidden(), request.row());
    GenerationSession.Listener grow =
        (row, id) -> {
          boolean isLate = request.deadline() != null && Instant.now().isAfter(request.deadline());
          if (cancelled[0] || isLate) {
            throw new Ended(Reason.CANCELLED);
          }
          Token token = new Token(id, text.add(id), Double.NaN, List.of());
          tokens.add(token);
          this.tokens.incrementAndGet();
          listener.token(token);
          if (text.stopped()) {
            throw new Ended(Reason.STOP);
          }
        };
    try {
      var all = texts.session().generate(List.of(prompt), decoding, grow).get(0);
      reason = all.ended() ? Reason.END : reason;
    } catch (Ended e) {
      reason = e.reason;
    } catch (PerformerException e) {
      listener.failed(e);
      return;
    }
    String rest = text.rest();
    reason = text.stopped() ? Reason.STOP : reason;
    if (request.session() != null && reason != Reason.CANCELLED) {
      List<Integer> ids = Arrays.stream(prompt).boxed().collect(Collectors.toList());
      tokens.forEach(token -> ids.add(token.id()));
      sessions.grow(request.session(), ids);
    }
    listener.done(new Finished(reason, text.text(), List.copyOf(tokens), prompt.length, 0, rest));
  }

  /** Open sessions of this model. */
  public Sessions sessions() {
    return sessions;
  }

  /** Between texts and its tokens. */
  public Tokenizer tokenizer() {
    return texts.tokenizer();
  }

  /** What generates. */
  public Model model() {
    return model;
  }

  /** What was assumed of a model that does not say it, and what that costs, one line each. */
  public List<String> notes() {
    return texts.notes();
  }

  /** What it does now, and did. */
  public EngineStatistics statistics() {
    int waiting = worker.getQueue().size();
    return new EngineStatistics(
        worker.getActiveCount(), waiting, tokens.get(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  }

  /** Ends all texts, sessions and the thread; the model stays its owner's. */
  @Override
  public void close() {
    worker.shutdownNow();
  }
}
