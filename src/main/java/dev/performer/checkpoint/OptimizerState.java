package dev.performer.checkpoint;

import dev.performer.data.NpyArray;
import java.util.Map;

/** Adam's updates so far, and averages of gradients and of their squares by our names. */
public record OptimizerState(
    long step, Map<String, NpyArray> firstMoments, Map<String, NpyArray> secondMoments) {

  public OptimizerState {
    firstMoments = Map.copyOf(firstMoments);
    secondMoments = Map.copyOf(secondMoments);
  }
}
