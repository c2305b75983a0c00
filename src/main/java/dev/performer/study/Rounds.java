package dev.performer.study;

import static dev.performer.PerformerException.require;

/**
 * How often cases take turns.
 *
 * @param most rounds
 * @param seconds that the rounds of one case may take, {@link #LEAST} of them in any case
 */
public record Rounds(int most, double seconds) {
  static final int LEAST = 3;
  static final Rounds ALONE = new Rounds(LEAST, 2);

  /** Ten, or 20 seconds a case. */
  public static final Rounds DEFAULT = new Rounds(10, 20);

  /** Checks. */
  public Rounds {
    require(most >= 1, "the number of rounds must be at least 1, not %d", most);
  }

  boolean goesOn(int done, double spent) {
    return done < most && (done < LEAST || spent < seconds);
  }
}
