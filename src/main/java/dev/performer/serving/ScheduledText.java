package dev.performer.serving;

import dev.performer.serving.TokenListener.End;
import dev.performer.serving.TokenListener.Likely;
import dev.performer.serving.TokenListener.Scored;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** One text on its way through a scheduler: what is known of it, and what the model has read. */
final class ScheduledText {
  private final TokenRequest request;
  private final TokenListener listener;
  private final List<Integer> ids;
  private final List<Scored> scored = new ArrayList<>();
  private int read;
  private int made;
  private int cached;
  private TextState state; // of what is read, until the text is in the batch
  private boolean over;

  ScheduledText(TokenRequest request, TokenListener listener) {
    this.request = request;
    this.listener = listener;
    ids = Arrays.stream(request.ids()).boxed().collect(Collectors.toCollection(ArrayList::new));
    state = request.start();
    read = state == null ? 0 : state.length();
  }

  TokenRequest request() {
    return request;
  }

  boolean over() {
    return over;
  }

  /** How many tokens the model has read. */
  int read() {
    return read;
  }

  /** How many tokens were chosen. */
  int made() {
    return made;
  }

  /** Null before anything is read, and in the batch. */
  TextState state() {
    return state;
  }

  boolean isBeginning() {
    return state == null && read == 0;
  }

  /** Whether the next token to be read is known, and not chosen yet. */
  boolean reads() {
    return isBeginning() || read < request.ids().length;
  }

  /** The next token that the model reads. */
  int next() {
    return ids.get(read);
  }

  /** Takes the state of more tokens; the one before is closed. */
  void state(TextState longer, boolean isKnown) {
    cached += isKnown ? longer.length() - read : 0;
    leave();
    state = longer;
    read = longer.length();
  }

  /** The batch has its state now. */
  void leave() {
    if (state != null) {
      state.close();
    }
    state = null;
  }

  /** One more token was read in the batch. */
  void step() {
    read++;
  }

  int[] readIds() {
    return ids.subList(0, read).stream().mapToInt(id -> id).toArray();
  }

  boolean endsIfCancelled(Supplier<TextState> states) {
    try {
      if (!over && listener.isCancelled()) {
        end(End.CANCELLED, states);
      }
    } catch (RuntimeException e) {
      fail(e);
    }
    return over;
  }

  /**
   * Takes the logits behind what is read.
   *
   * @param states gives a state of what is read, for its receiver to close
   */
  void take(float[] logits, Supplier<TextState> states) {
    try {
      if (request.scoresPrompt() && scored.isEmpty() && read == 1) { // nothing foretold it
        scored.add(new Scored(ids.get(0), Double.NaN, List.of()));
      }
      if (read < request.ids().length) {
        if (request.scoresPrompt()) {
          scored.add(score(next(), logits));
        }
        return;
      }
      if (made == 0 && request.scoresPrompt()) {
        listener.prompt(List.copyOf(scored));
      }
      if (made < request.maxTokens()) {
        choose(logits, states);
      } else {
        end(End.LENGTH, states);
      }
    } catch (RuntimeException e) {
      fail(e);
    }
  }

  private void choose(float[] logits, Supplier<TextState> states) {
    int token = request.choice().next(request.row(), logits, ids, request.forbidden());
    if (request.end().isPresent() && token == request.end().getAsInt()) {
      end(End.TOKEN, states);
      return;
    }
    ids.add(token);
    made++;
    if (!listener.token(score(token, logits))) {
      end(End.STOPPED, states);
    } else if (made == request.maxTokens()) {
      end(End.LENGTH, states);
    }
  }

  private void end(End end, Supplier<TextState> states) {
    TextState kept = request.keepsState() && end != End.CANCELLED ? states.get() : null;
    over = true;
    leave();
    listener.done(end, cached, kept);
  }

  void fail(RuntimeException why) {
    over = true;
    leave();
    try {
      listener.failed(why);
    } catch (RuntimeException e) {
      why.addSuppressed(e); // there is nobody left to hear of it
    }
  }

  private Scored score(int token, float[] logits) {
    double largest = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      largest = Math.max(largest, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - largest);
    }
    double all = largest + Math.log(sum);
    int count = request.likeliest();
    List<Likely> likeliest = count == 0 ? List.of() : likeliest(logits, count, all);
    return new Scored(token, logits[token] - largest - Math.log(sum), likeliest);
  }

  private static List<Likely> likeliest(float[] logits, int count, double all) {
    double[] scores = new double[logits.length];
    for (int id = 0; id < logits.length; id++) {
      scores[id] = logits[id];
    }
    var order = new LikeliestFirst(IntStream.range(0, logits.length).toArray(), scores);
    return IntStream.generate(order::next)
        .limit(Math.min(count, logits.length))
        .mapToObj(id -> new Likely(id, logits[id] - all))
        .toList();
  }
}
