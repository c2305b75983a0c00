package dev.performer.savedmodel.softmax;

import java.util.List;

/**
 * Which keys queries see: those up to their own position where it is causal, and of these the ones
 * that all factors keep.
 */
record SiteMask(boolean causal, List<Factor> factors) {
  /**
   * What keeps keys.
   *
   * @param axes over keys and what they belong to, and over queries where rows are all alike
   * @param kept the value of a key that is seen
   * @param other the nearest one of a key that is not
   */
  record Factor(String reference, Axes axes, double kept, double other) {
    boolean keeps(double value) {
      double between = kept / 2 + other / 2;
      return kept > other ? value > between : value < between;
    }
  }
}
