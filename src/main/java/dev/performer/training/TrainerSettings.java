package dev.performer.training;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.graph.Variable;
import dev.performer.nn.Precision;

/** {@code config.json} of a run that a program's own {@link Trainer} made. */
final class TrainerSettings {
  private TrainerSettings() {}

  /** What the rest of a run is compared with; those of a graph that differs, too. */
  static ObjectNode of(Trainable model, BatchSource train, LoopOptions options) {
    ObjectNode settings = JsonNodeFactory.instance.objectNode().put("format", 1);
    settings.putObject("data").put("train", train.name());
    settings.set("training", options.toJson());
    ObjectNode variables = settings.putObject("variables");
    for (Variable variable : model.variables()) {
      variables.put(variable.name(), variable.shape().toString());
    }
    return settings;
  }

  /**
   * Refuses what a recipe builds into its graph, where the graph is a program's own.
   *
   * @throws PerformerException that names the option
   */
  static void requireNoneOfTheGraph(Trainable model, LoopOptions options) {
    requireNot("averageDecay", options.averageDecay() > 0 && model.averages().isEmpty());
    requireNot("labelSmoothing", options.labelSmoothing() > 0);
    requireNot("zLoss", options.zLoss() > 0);
    requireNot("precision", options.precision() != Precision.FLOAT32);
  }

  private static void requireNot(String key, boolean isAsked) {
    if (isAsked) {
      throw new PerformerException(
          "training option " + key + " is no business of the loop: build it into the graph");
    }
  }
}
