package dev.performer.savedmodel;

import dev.performer.Excerpt;
import dev.performer.graph.Variable;
import java.util.List;

/**
 * Whether and how far gradients of a model's outputs reach its variables.
 *
 * @param obstacles ops between trainable variables and outputs that no gradient can pass
 * @param trainable trainable variables that a gradient reaches
 * @param blocked trainable variables behind an obstacle
 * @param unused trainable variables on which the outputs do not depend differentiably
 */
public record Trainability(
    List<Obstacle> obstacles,
    List<Variable> trainable,
    List<Variable> blocked,
    List<Variable> unused) {
  static final Trainability NONE = new Trainability(List.of(), List.of(), List.of(), List.of());

  /**
   * An op that stops training.
   *
   * @param op its type
   * @param node its name in the flat graph
   * @param function the function of the SavedModel it comes from; empty for the main graph
   * @param reason why no gradient passes
   */
  public record Obstacle(String op, String node, String function, String reason) {
    @Override
    public String toString() {
      String place = function.isEmpty() ? "the main graph" : "the function " + function;
      return "%s (node %s of %s): %s".formatted(op, node, place, reason);
    }
  }

  /** Whether every trainable variable that the outputs depend on gets its gradient. */
  public boolean isTrainable() {
    return obstacles.isEmpty() && !trainable.isEmpty();
  }

  /** One line for the user. */
  public String summary() {
    if (isTrainable()) {
      return "can be trained: gradients reach " + trainable.size() + " variables";
    }
    if (obstacles.isEmpty()) {
      return "cannot be trained: no trainable variable has a part in the outputs";
    }
    var items = Excerpt.items(obstacles.stream().map(Obstacle::toString).toList());
    String part = trainable.isEmpty() ? "" : " in full";
    return "cannot be trained" + part + ": " + String.join("; ", items);
  }
}
