package dev.performer.checkpoint;

import dev.performer.data.NpyArray;
import java.util.Map;

/**
 * What Adam remembered when a checkpoint was saved.
 *
 * @param step optimizer steps taken
 * @param firstMoments running mean of gradients, by our variable names
 * @param secondMoments running mean of squared gradients, by our variable names
 */
public record OptimizerState(
    long step, Map<String, NpyArray> firstMoments, Map<String, NpyArray> secondMoments) {
  public OptimizerState {
    firstMoments = Map.copyOf(firstMoments);
    secondMoments = Map.copyOf(secondMoments);
  }
}
