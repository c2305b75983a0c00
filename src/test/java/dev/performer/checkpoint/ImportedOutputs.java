package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.nn.Dropout;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Runs an imported model on tokens. */
final class ImportedOutputs {
  private ImportedOutputs() {}

  /** Which of the outputs are compared. */
  interface Part {
    Operand<TFloat32> of(Outputs outputs);
  }

  static float[] run(
      ModelWeights model, NpyArray tokens, NpyArray mask, NpyArray types, Part part) {
    return run(model, List.of(new Fed(tokens, mask, types)), part).get(0);
  }

  /** Inputs of a model; null for what it does not take. */
  record Fed(NpyArray tokens, NpyArray mask, NpyArray types) {}

  /** All parts of the outputs for the first inputs, then for the next ones. */
  static List<float[]> run(ModelWeights model, List<Fed> inputs, Part... parts) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer performer = Performer.build(tf, variables, model.config(), 1);
      assertThat(model.weights().keySet()).isEqualTo(Performer.shapes(model.config()).keySet());
      variables.initialize(session);
      Session.Runner assignments = session.runner();
      for (Variable variable : variables.all()) {
        NpyArray value = model.weights().get(variable.name());
        assignments.addTarget(
            Variables.assign(
                tf, variable, tf.reshape(tf.constant(value.floats()), tf.constant(value.shape()))));
      }
      assignments.run().close();
      List<Operand<TFloat32>> fetches = new ArrayList<>();
      for (Fed fed : inputs) {
        Outputs outputs = performer.apply(tf, inputs(tf, fed), Dropout.none());
        for (Part part : parts) {
          fetches.add(part.of(outputs));
        }
      }
      Session.Runner runner = session.runner();
      fetches.forEach(runner::fetch);
      try (Result result = runner.run()) {
        return IntStream.range(0, fetches.size())
            .mapToObj(i -> Tensors.floats((TFloat32) result.get(i)))
            .toList();
      }
    }
  }

  private static Inputs inputs(Ops tf, Fed fed) {
    Operand<TFloat32> keep =
        fed.mask == null ? null : tf.dtypes.cast(ints(tf, fed.mask), TFloat32.class);
    Inputs inputs = Inputs.of(ints(tf, fed.tokens), keep);
    return fed.types == null ? inputs : inputs.withTokenTypes(ints(tf, fed.types));
  }

  private static Operand<TInt32> ints(Ops tf, NpyArray array) {
    return tf.reshape(tf.constant(array.ints()), tf.constant(array.shape()));
  }

  static void assertClose(float[] found, NpyArray expected) {
    float[] right = expected.floats();
    assertThat(found).hasSameSizeAs(right);
    double scale = 1;
    for (float x : right) {
      scale = Math.max(scale, Math.abs(x));
    }
    double worst = 0;
    for (int i = 0; i < right.length; i++) {
      worst = Math.max(worst, Math.abs(found[i] - right[i]) / scale);
    }
    assertThat(worst).isLessThan(1e-4);
  }
}
