package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.BusyException;
import dev.performer.PerformerException;
import dev.performer.data.Tokenizer;
import dev.performer.serving.GenerationSession;
import dev.performer.serving.GenerationSession.Saved;
import dev.performer.serving.TextState;
import dev.performer.serving.TokenListener;
import dev.performer.serving.TokenRequest;
import dev.performer.serving.TokenScheduler;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/**
 * Continues many texts at once on one loaded model: they join and leave between steps of the batch,
 * and long prompts are read in pieces. The same seed gives the tokens that {@link TextGenerator}
 * gives, whatever else runs. Safe for use by several threads.
 */
public final class TextEngine implements AutoCloseable {
  private static final long IDLE_MILLIS = 10_000; // between looks for expired sessions

  private final Model model;
  private final TextModel texts;
  private final EngineOptions options;
  private final TokenScheduler scheduler;
  private final Sessions sessions;
  private final Deque<Answer> waiting = new ArrayDeque<>(); // guarded by itself, as closed is
  private final Thread thread = new Thread(this::run, "performer-text-engine");
  private final AtomicLong finished = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();
  private final AtomicLong cancelled = new AtomicLong();
  private final AtomicLong refused = new AtomicLong();
  private volatile int running;
  private boolean closed;

  private TextEngine(Model model, TextModel texts, EngineOptions options) {
    this.model = model;
    this.texts = texts;
    this.options = options;
    GenerationSession session = texts.session();
    scheduler = session.scheduler(options.chunk(), options.cacheBytes());
    sessions = new Sessions(this, session, () -> ModelFingerprint.of(model.path()), options);
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * On a loaded model, which stays its owner's and is open until this is closed.
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
   * @throws BusyException if too many wait, or its session goes on already
   * @throws dev.performer.NotFoundException if its session is not open
   * @throws PerformerException if it cannot run: its prompt, or what does not fit together
   */
  public Ticket submit(TextRequest request, Listener listener) {
    Optional<Saved> before = request.continued().map(sessions::begin);
    Answer.Keeper keeper = longer -> request.continued().ifPresent(id -> sessions.end(id, longer));
    try {
      return submit(request, before, before.isPresent(), listener, keeper);
    } catch (RuntimeException e) {
      before.ifPresent(text -> text.state().close());
      keeper.end(Optional.empty());
      throw e;
    }
  }

  private Ticket submit(
      TextRequest request,
      Optional<Saved> before,
      boolean isKept,
      Listener listener,
      Answer.Keeper keeper) {
    int[] old = before.map(Saved::ids).orElse(new int[0]);
    int[] more = ids(request, before.isEmpty());
    int[] ids = Arrays.copyOf(old, old.length + more.length);
    System.arraycopy(more, 0, ids, old.length, more.length);
    int count = request.maxTokens().orElse(texts.usualTokens(ids.length));
    GenerationSession session = texts.session();
    session.check(List.of(ids), Math.max(1, count)); // also a prompt alone is read to its end
    TokenRequest tokens =
        new TokenRequest(
            ids,
            before.map(Saved::state).orElse(null),
            count,
            request.sampler().begin(request.row(), 1),
            0,
            texts.tokenizer().vocabulary().eos(),
            session.never(texts.forbidden()),
            request.likeliest(),
            request.scoresPrompt(),
            isKept);
    Answer answer =
        new Answer(texts.tokenizer(), request, tokens, more.length, new Counted(listener), keeper);
    synchronized (waiting) {
      if (closed) {
        throw closed();
      }
      int places = Math.max(0, options.maxBatch() - running);
      if (waiting.size() >= options.maxQueue() + places) {
        refused.incrementAndGet();
        String text = "%d texts wait already; try again a little later";
        throw new BusyException(text.formatted(waiting.size()));
      }
      waiting.add(answer);
      waiting.notifyAll();
    }
    return answer::cancel;
  }

  private int[] ids(TextRequest request, boolean isBeginning) {
    if (request.ids() != null) {
      int known = texts.tokenizer().size();
      for (int id : request.ids()) {
        String text = "the prompt has the token %d, but the tokenizer knows 0 to %d";
        require(id >= 0 && id < known, text, id, known - 1);
      }
      return request.ids().stream().mapToInt(id -> id).toArray();
    }
    return isBeginning ? texts.encode(request.prompt()) : texts.more(request.prompt());
  }

  static PerformerException closed() {
    return new PerformerException("the model is being closed");
  }

  /** Reads a prompt, and waits for that. @return the caller's to close */
  Saved read(TextRequest request, Consumer<Ticket> begun) {
    CompletableFuture<Saved> read = new CompletableFuture<>();
    Listener listener =
        new Listener() {
          @Override
          public void done(Finished text) { // the keeper has heard of it, unless it ended early
            boolean isCancelled = text.reason() == Reason.CANCELLED;
            String why = isCancelled ? "was cancelled" : "was not read before its deadline";
            read.completeExceptionally(new PerformerException("the prompt " + why));
          }

          @Override
          public void failed(PerformerException why) {
            read.completeExceptionally(why);
          }
        };
    Answer.Keeper keeper = longer -> longer.ifPresent(read::complete);
    Ticket ticket = submit(request.withMaxTokens(0), Optional.empty(), true, listener, keeper);
    begun.accept(ticket);
    try {
      return read.get();
    } catch (ExecutionException e) {
      throw (PerformerException) e.getCause();
    } catch (InterruptedException e) {
      ticket.cancel();
      read.thenAccept(text -> text.state().close());
      Thread.currentThread().interrupt();
      throw new PerformerException("the wait for the prompt was interrupted", e);
    }
  }

  /** Counts how texts end. */
  private final class Counted implements Listener {
    private final Listener listener;

    private Counted(Listener listener) {
      this.listener = listener;
    }

    @Override
    public void prompt(List<Token> tokens) {
      listener.prompt(tokens);
    }

    @Override
    public void token(Token token) {
      listener.token(token);
    }

    @Override
    public void done(Finished text) {
      (text.reason() == Reason.CANCELLED ? cancelled : finished).incrementAndGet();
      listener.done(text);
    }

    @Override
    public void failed(PerformerException why) {
      failed.incrementAndGet();
      listener.failed(why);
    }
  }

  private void run() {
    try {
      while (admit()) {
        try {
          scheduler.turn();
        } catch (RuntimeException | Error e) { // such as a heap that is full
          scheduler.fail(new PerformerException("the engine failed: " + e, e));
        }
      }
    } finally {
      List<Answer> rest;
      synchronized (waiting) {
        closed = true;
        rest = new ArrayList<>(waiting);
        waiting.clear();
      }
      scheduler.close();
      rest.forEach(answer -> drop(answer, () -> answer.failed(closed())));
      sessions.close();
      texts.session().close();
    }
  }

  /** Takes waiting texts as there is place; waits for some. @return false when this is closed */
  private boolean admit() {
    List<Answer> gone = new ArrayList<>();
    boolean goesOn;
    synchronized (waiting) {
      while (!closed && waiting.isEmpty() && scheduler.size() == 0) {
        running = 0;
        sessions.expire();
        try {
          waiting.wait(IDLE_MILLIS);
        } catch (InterruptedException e) {
          closed = true; // nobody else has the thread to interrupt it
        }
      }
      waiting.removeIf(answer -> answer.isCancelled() && gone.add(answer));
      while (!waiting.isEmpty() && scheduler.size() < options.maxBatch()) {
        Answer answer = waiting.remove();
        scheduler.add(answer.request(), answer);
      }
      running = scheduler.size();
      goesOn = !closed;
    }
    gone.forEach(answer -> drop(answer, () -> answer.done(TokenListener.End.CANCELLED, 0, null)));
    return goesOn;
  }

  /** Of a text that never began. */
  private static void drop(Answer answer, Runnable last) {
    Optional.ofNullable(answer.request().start()).ifPresent(TextState::close);
    try {
      last.run();
    } catch (RuntimeException e) {
      answer.cancel(); // its receiver is gone
    }
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
    int queued;
    synchronized (waiting) {
      queued = waiting.size();
    }
    return new EngineStatistics(
        running,
        queued,
        scheduler.generated(),
        scheduler.promptTokens(),
        scheduler.cachedTokens(),
        scheduler.steps(),
        finished.get(),
        failed.get(),
        cancelled.get(),
        refused.get(),
        sessions.size(),
        sessions.totalBytes(),
        scheduler.cacheBytes());
  }

  /** Ends all texts, as failed, and all sessions; the model stays its owner's. */
  @Override
  public void close() {
    synchronized (waiting) {
      closed = true;
      waiting.notifyAll();
    }
    boolean isInterrupted = false;
    while (thread.isAlive() && thread != Thread.currentThread()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        isInterrupted = true; // the model must not be closed under a run
      }
    }
    if (isInterrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
