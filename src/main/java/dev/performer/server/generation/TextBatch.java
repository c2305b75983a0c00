package dev.performer.server.generation;

import dev.performer.PerformerException;
import dev.performer.pipeline.TextEngine;
import dev.performer.pipeline.TextEngine.Finished;
import dev.performer.pipeline.TextEngine.Reason;
import dev.performer.pipeline.TextEngine.Ticket;
import dev.performer.pipeline.TextEngine.Token;
import dev.performer.pipeline.TextRequest;
import dev.performer.server.http.Refusal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Texts that one call wants together: all of them end, or the call fails and the others end soon.
 * Safe for use by several threads.
 */
public final class TextBatch {
  private final Listener listener;
  private final Runnable release;
  private final Finished[] finished;
  private final List<Ticket> tickets = new ArrayList<>();
  private int running;
  private boolean isSubmitted;
  private boolean isOver;

  private TextBatch(int texts, Listener listener, Runnable release) {
    this.listener = listener;
    this.release = release;
    finished = new Finished[texts];
  }

  /** Hears of texts by their numbers, one call at a time; it must not block. */
  public interface Listener {
    /** The tokens of a prompt that is scored. */
    default void prompt(int text, List<Token> tokens) {}

    /** A token of a text. */
    default void token(int text, Token token) {}

    /** A text has ended. */
    default void done(int text, Finished result) {}

    /** The last call where all texts ended. */
    void done(List<Finished> all);

    /** The last call where one failed. */
    void failed(PerformerException why);
  }

  /**
   * Begins all texts.
   *
   * @param release runs once, when the last text has ended, also if this fails
   * @throws PerformerException as {@link TextEngine#submit}; the listener then hears nothing
   */
  public static TextBatch submit(
      TextEngine engine, List<TextRequest> requests, Listener listener, Runnable release) {
    TextBatch batch = new TextBatch(requests.size(), listener, release);
    try {
      for (int text = 0; text < requests.size(); text++) {
        batch.add(engine, requests.get(text), text);
      }
    } catch (RuntimeException e) {
      batch.giveUp();
      throw e;
    }
    batch.submitted();
    return batch;
  }

  private void add(TextEngine engine, TextRequest request, int text) {
    synchronized (this) {
      running++;
    }
    try {
      Ticket ticket = engine.submit(request, new One(text));
      synchronized (this) {
        tickets.add(ticket);
        if (!isOver) {
          return;
        }
      }
      ticket.cancel();
    } catch (RuntimeException e) {
      synchronized (this) {
        running--;
      }
      throw e;
    }
  }

  private void giveUp() {
    cancel();
    submitted();
  }

  private void submitted() {
    synchronized (this) {
      isSubmitted = true;
      if (running > 0) {
        return;
      }
    }
    end();
  }

  /** Ends all texts soon; the listener hears nothing any more. */
  public void cancel() {
    List<Ticket> all;
    synchronized (this) {
      isOver = true;
      all = List.copyOf(tickets);
    }
    all.forEach(Ticket::cancel);
  }

  private void ended() {
    synchronized (this) {
      running--;
      if (running > 0 || !isSubmitted) {
        return;
      }
    }
    end();
  }

  private void end() {
    tell(() -> listener.done(Arrays.asList(finished)));
    release.run();
  }

  private void tell(Runnable event) {
    try {
      synchronized (this) {
        if (!isOver) {
          event.run();
        }
      }
    } catch (RuntimeException e) {
      fail(new PerformerException("a text could not be passed on: " + e, e));
    }
  }

  private void fail(PerformerException why) {
    synchronized (this) {
      if (!isOver) {
        isOver = true;
        listener.failed(why);
      }
    }
    cancel();
  }

  private final class One implements TextEngine.Listener {
    private final int text;

    private One(int text) {
      this.text = text;
    }

    @Override
    public void prompt(List<Token> tokens) {
      tell(() -> listener.prompt(text, tokens));
    }

    @Override
    public void token(Token token) {
      tell(() -> listener.token(text, token));
    }

    @Override
    public void done(Finished result) {
      if (result.reason() == Reason.CANCELLED) {
        fail(new Refusal(503, "the model is going away"));
      } else {
        finished[text] = result;
        tell(() -> listener.done(text, result));
      }
      ended();
    }

    @Override
    public void failed(PerformerException why) {
      fail(why);
      ended();
    }
  }
}
