package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.pipeline.TextEngine.Finished;
import dev.performer.pipeline.TextEngine.Token;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/** Hears of a text, and checks that calls come in order. */
final class Texts implements TextEngine.Listener {
  final List<Token> prompt = new ArrayList<>();
  final List<Token> tokens = new ArrayList<>();
  private final CompletableFuture<Finished> end = new CompletableFuture<>();
  private volatile boolean isHeardTooOften;
  private final Consumer<Token> onToken;

  Texts() {
    this(token -> {});
  }

  Texts(Consumer<Token> onToken) {
    this.onToken = onToken;
  }

  static Finished run(TextEngine engine, TextRequest request) {
    Texts text = new Texts();
    engine.submit(request, text);
    return text.finished();
  }

  @Override
  public void prompt(List<Token> all) {
    requireOpen();
    prompt.addAll(all);
  }

  @Override
  public void token(Token token) {
    requireOpen();
    tokens.add(token);
    onToken.accept(token);
  }

  private void requireOpen() {
    if (end.isDone()) {
      isHeardTooOften = true;
      throw new IllegalStateException("a call after the last one");
    }
  }

  @Override
  public void done(Finished finished) {
    requireOpen();
    end.complete(finished);
  }

  @Override
  public void failed(PerformerException why) {
    requireOpen();
    end.completeExceptionally(why);
  }

  boolean isHeardTooOften() {
    return isHeardTooOften;
  }

  boolean isOver() {
    return end.isDone();
  }

  String streamed() {
    var all = new StringBuilder();
    tokens.forEach(token -> all.append(token.piece()));
    return all + finished().rest();
  }

  Finished finished() {
    try {
      return end.get(60, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw (PerformerException) e.getCause();
    } catch (InterruptedException | TimeoutException e) {
      throw new AssertionError("the text did not end", e);
    }
  }
}
