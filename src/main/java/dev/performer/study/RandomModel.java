package dev.performer.study;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.NpyArray;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;

/** SavedModels of random weights, which cost what trained ones do. */
final class RandomModel {
  private static final float BIAS = 0.01f;

  private RandomModel() {}

  /** Writes one. @param keys as {@link PerformerConfig} reads them @param card null for none */
  static void write(ObjectNode keys, ModelCard card, Path target) {
    PerformerConfig config = PerformerConfig.of(keys, "the benchmark's model");
    Map<String, NpyArray> weights;
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.build(tf, variables, config, 1);
      variables.initialize(session);
      weights = new LinkedHashMap<>(PerformerModels.values(session, variables.all()));
    }
    weights.replaceAll((name, value) -> name.endsWith("/bias") ? filled(value.shape()) : value);
    PerformerModels.write(config, weights, card, target, false);
  }

  /** Biases are 0 at first, and a sum with 0 costs nothing. */
  private static NpyArray filled(long[] shape) {
    float[] values = new float[(int) Shape.of(shape).size()];
    Arrays.fill(values, BIAS);
    return NpyArray.of(values, shape);
  }
}
