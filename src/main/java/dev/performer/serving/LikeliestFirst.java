package dev.performer.serving;

/**
 * Tokens from the largest score down, lower ids first among equals. The first ones cost little,
 * also of large vocabularies: a heap.
 */
final class LikeliestFirst {
  private final double[] scores;
  private final int[] heap;
  private int size;

  /**
   * Of some tokens.
   *
   * @param ids whose order is lost
   * @param scores by id
   */
  LikeliestFirst(int[] ids, double[] scores) {
    this.scores = scores;
    heap = ids;
    size = ids.length;
    for (int i = size / 2 - 1; i >= 0; i--) {
      sink(i);
    }
  }

  /** The next token. */
  int next() {
    int first = heap[0];
    heap[0] = heap[--size];
    sink(0);
    return first;
  }

  private void sink(int place) {
    int at = place;
    for (int child; (child = 2 * at + 1) < size; at = child) {
      if (child + 1 < size && isBefore(heap[child + 1], heap[child])) {
        child++;
      }
      if (!isBefore(heap[child], heap[at])) {
        return;
      }
      int id = heap[child];
      heap[child] = heap[at];
      heap[at] = id;
    }
  }

  private boolean isBefore(int a, int b) {
    return scores[a] > scores[b] || scores[a] == scores[b] && a < b;
  }
}
