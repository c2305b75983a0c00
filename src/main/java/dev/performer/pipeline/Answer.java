package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.TextStream;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.TextEngine.Finished;
import dev.performer.pipeline.TextEngine.Listener;
import dev.performer.pipeline.TextEngine.Reason;
import dev.performer.pipeline.TextEngine.Token;
import dev.performer.serving.GenerationSession.Saved;
import dev.performer.serving.TextState;
import dev.performer.serving.TokenListener;
import dev.performer.serving.TokenRequest;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Makes the text of a request from its tokens, and ends its session's turn. */
final class Answer implements TokenListener {
  /** Takes what a text has become; what it throws is why that failed. */
  interface Keeper {
    void end(Optional<Saved> longer);
  }

  private final Tokenizer tokenizer;
  private final TokenRequest request;
  private final Listener listener;
  private final Keeper keeper;
  private final Instant deadline;
  private final StoppedText text;
  private final List<Token> tokens = new ArrayList<>();
  private final int promptTokens;
  private volatile boolean cancelled;

  /**
   * Of a request.
   *
   * @param promptTokens of all tokens, those that this request brings
   */
  Answer(
      Tokenizer tokenizer,
      TextRequest wished,
      TokenRequest request,
      int promptTokens,
      Listener listener,
      Keeper keeper) {
    this.tokenizer = tokenizer;
    this.request = request;
    this.promptTokens = promptTokens;
    this.listener = listener;
    this.keeper = keeper;
    deadline = wished.deadline();
    text = new StoppedText(tokenizer, request.ids(), wished.stops());
  }

  TokenRequest request() {
    return request;
  }

  void cancel() {
    cancelled = true;
  }

  @Override
  public boolean isCancelled() {
    return cancelled || deadline != null && Instant.now().isAfter(deadline);
  }

  @Override
  public void prompt(List<Scored> scored) {
    TextStream stream = new TextStream(tokenizer, new int[0]);
    List<Token> all = new ArrayList<>();
    for (Scored one : scored) {
      String piece = stream.add(one.id());
      all.add(token(one, all.size() < scored.size() - 1 ? piece : piece + stream.rest()));
    }
    listener.prompt(all);
  }

  @Override
  public boolean token(Scored scored) {
    Token token = token(scored, text.add(scored.id()));
    tokens.add(token);
    listener.token(token);
    return !text.stopped();
  }

  private Token token(Scored scored, String piece) {
    List<TextEngine.Likely> likeliest =
        scored.likeliest().stream()
            .map(one -> new TextEngine.Likely(one.id(), text(one.id()), one.logProbability()))
            .toList();
    return new Token(scored.id(), piece, scored.logProbability(), likeliest);
  }

  /** Some models have more logits than tokens. */
  private String text(int id) {
    return id < tokenizer.size() ? tokenizer.decode(new int[] {id}) : "";
  }

  @Override
  public void done(End end, int cached, TextState state) {
    String rest = text.rest();
    Reason reason =
        end == End.CANCELLED
            ? Reason.CANCELLED
            : text.stopped() ? Reason.STOP : end == End.TOKEN ? Reason.END : Reason.LENGTH;
    try {
      keeper.end(Optional.ofNullable(state).map(read -> new Saved(read, ids())));
    } catch (PerformerException e) {
      listener.failed(e);
      return;
    }
    listener.done(
        new Finished(reason, text.text(), List.copyOf(tokens), promptTokens, cached, rest));
  }

  private int[] ids() {
    int[] before = request.ids();
    int[] all = Arrays.copyOf(before, before.length + tokens.size());
    for (int i = 0; i < tokens.size(); i++) {
      all[before.length + i] = tokens.get(i).id();
    }
    return all;
  }

  @Override
  public void failed(RuntimeException why) {
    keeper.end(Optional.empty());
    listener.failed(
        why instanceof PerformerException known
            ? known
            : new PerformerException("the receiver of the text failed: " + why, why));
  }
}
