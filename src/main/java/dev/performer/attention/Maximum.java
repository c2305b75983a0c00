package dev.performer.attention;

/**
 * Over which axes of the projected data {@code [B, H, L, M]} the maximum is taken that keeps an
 * exponential in range. More than {@link #FEATURES} for keys couples positions, so the future
 * reaches the past through ε or underflow.
 */
public enum Maximum {
  FEATURES(3),
  LENGTH_AND_FEATURES(2, 3),
  HEADS_LENGTH_AND_FEATURES(1, 2, 3),
  EVERYTHING(0, 1, 2, 3);

  private final int[] axes;

  Maximum(int... axes) {
    this.axes = axes;
  }

  int[] axes() {
    return axes.clone();
  }
}
