package dev.performer.serving;

import java.util.List;

/** Hears of one text of a {@link TokenScheduler}, in the thread that takes its turns. */
public interface TokenListener {
  /** Why a text ended. */
  enum End {
    /** By the token that ends texts. */
    TOKEN,
    /** As {@link #token} wished. */
    STOPPED,
    LENGTH,
    CANCELLED
  }

  /** A token that might have come. */
  record Likely(int id, double logProbability) {}

  /**
   * A token of a text.
   *
   * @param logProbability in nats as the model gives it, whatever the sampler makes of that; NaN
   *     where the model foretold nothing, or a logit is infinite
   * @param likeliest as many as were wished, the likeliest first, lower ids first among equals
   */
  record Scored(int id, double logProbability, List<Likely> likeliest) {}

  /** Whether the text shall end; looked at between steps. */
  default boolean isCancelled() {
    return false;
  }

  /** The tokens of the prompt, where they are scored. */
  default void prompt(List<Scored> tokens) {}

  /** A new token. @return whether the text goes on */
  boolean token(Scored token);

  /**
   * The last call, unless {@link #failed} is.
   *
   * @param cached how many tokens of the prompt stood in known states
   * @param state what the model has read, which is the listener's to close; null unless wished
   */
  void done(End end, int cached, TextState state);

  /** The last call: the model failed, no token may come, or the listener threw this. */
  void failed(RuntimeException why);
}
