package dev.performer.savedmodel.softmax;

import java.util.List;

/**
 * One exact attention of a model's graph, or a softmax that is none.
 *
 * @param layer its number, from 0 where data enter; −1 for what cannot be replaced
 * @param nodes the softmax ops: one for each signature that has the layer
 * @param queries shape of queries with ? for what is open, in the order batch, heads, positions
 * @param keys shape of keys
 * @param values shape of values
 * @param causal whether a query sees keys up to its own position only
 * @param masked whether keys are hidden from all queries of a row
 * @param obstacle why it cannot be replaced; empty if it can
 */
public record FoundAttention(
    int layer,
    List<String> nodes,
    List<Long> queries,
    List<Long> keys,
    List<Long> values,
    boolean causal,
    boolean masked,
    String obstacle) {

  /** Whether it is left alone. */
  public boolean isLeft() {
    return !obstacle.isEmpty();
  }

  /** D. */
  public int headSize() {
    return Math.toIntExact(queries.get(queries.size() - 1));
  }

  @Override
  public String toString() {
    if (isLeft()) {
      return "left alone: %s: %s".formatted(nodes.get(0), obstacle);
    }
    String kind = (causal ? "causal" : "bidirectional") + (masked ? ", masked keys" : "");
    return "layer %d: %s: queries %s, keys %s, values %s, %s"
        .formatted(layer, nodes.get(0), text(queries), text(keys), text(values), kind);
  }

  private static String text(List<Long> shape) {
    return shape.stream().map(n -> n < 0 ? "?" : n + "").toList() + "";
  }
}
