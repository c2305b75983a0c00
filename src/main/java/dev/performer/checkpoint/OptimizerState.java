package dev.performer.checkpoint;

import dev.performer.data.NpyArray;
import java.util.Map;

/**
 * What Adam had gathered when a checkpoint was written, so that training can go on.
 *
 * @param step updates done
 * @param firstMoments averages of gradients, by our variables' names
 * @param secondMoments averages of squared gradients, by our variables' names
 */
public record OptimizerState(
    long step, Map<String, NpyArray> firstMoments, Map<String, NpyArray> secondMoments) {

  public OptimizerState {
    firstMoments = Map.copyOf(firstMoments);
    secondMoments = Map.copyOf(secondMoments);
  }
}
