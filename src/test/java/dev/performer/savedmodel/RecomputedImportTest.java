package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.LossGradients;
import dev.performer.graph.Recomputation;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.training.optim.Gradients;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Graphs that Python made, of which layers are known to nobody, computed again in parts. */
class RecomputedImportTest {
  private static final String SIGNATURE = ImportedModel.DEFAULT_SIGNATURE;

  /** A sum of outputs by factors of their own, so that no gradient cancels out. */
  private static Output<TFloat32> loss(
      Ops tf, List<String> names, Function<String, Output<?>> outputs) {
    List<Operand<TFloat32>> sums = new ArrayList<>();
    for (String name : names) {
      var flat = tf.reshape(outputs.apply(name).expect(TFloat32.class), tf.array(-1));
      var places = tf.range(tf.constant(0), tf.size(flat), tf.constant(1));
      var angles = tf.math.mul(tf.dtypes.cast(places, TFloat32.class), tf.constant(0.7f));
      sums.add(tf.reduceSum(tf.math.mul(flat, tf.math.sin(angles)), tf.constant(0)));
    }
    return tf.math.addN(sums).asOutput();
  }

  @ParameterizedTest
  @CsvSource({
    "savedmodels/reference/bert_softmax/saved_model, serving_default",
    "savedmodels/reference/kernel_encoder/saved_model, serving_default",
    "savedmodels/reference/keras3_transformer/exported_saved_model, serving_default",
    "savedmodels/reference/protein_exp/saved_model, serving_default",
    "savedmodels/reference/protein_relu_causal/train_saved_model, serving_default",
    "savedmodels/protein-mlm/saved_model, serving_default",
  })
  void gradientsAreThoseOfThePlainForm(Path path, String signature) {
    var inputs = SampleInputs.of(SavedModelDirectory.open(path), 2, 16).samples().get(signature);
    try (ImportedModel model = ImportedModel.load(path, signature)) {
      var outputs = model.signatures().get(signature).outputs().values();
      var names = outputs.stream().filter(TensorSpec::isFloat).map(TensorSpec::name).toList();
      List<List<String>> asked = new ArrayList<>(names.stream().map(List::of).toList());
      asked.add(names);
      for (List<String> some : asked) {
        requireAlike(model, signature, some, inputs);
      }
    }
  }

  private static void requireAlike(
      ImportedModel model, String signature, List<String> names, Map<String, NpyArray> inputs) {
    Graph graph = model.graph();
    Ops tf = Ops.create(graph);
    Recomputation parts = new Recomputation();
    var copies = model.inParts(signature, names, parts);
    Output<TFloat32> whole = loss(tf, names, name -> model.output(signature, name));
    Output<TFloat32> again = loss(tf, names, copies::get);
    assertThat(parts.isEmpty()).isFalse();
    var reached = Gradients.ancestors(List.of(whole), false).keySet();
    List<Output<?>> handles = new ArrayList<>();
    for (Variable variable : model.variables()) {
      if (variable.trainable() && reached.contains(variable.handle().op().name())) {
        handles.add(variable.handle());
      }
    }
    var expected = LossGradients.find(graph, whole, handles, Recomputation.NONE);
    var found = LossGradients.find(graph, again, handles, parts);
    List<float[]> values = new ArrayList<>();
    try (Session session = new Session(graph, false);
        Fed fed = Fed.of(model, signature, inputs)) {
      model.restore(session);
      var runner = session.runner().fetch(whole).fetch(again);
      fed.tensors().forEach(runner::feed);
      for (int i = 0; i < handles.size(); i++) {
        assertThat(found.get(i).isPresent()).isEqualTo(expected.get(i).isPresent());
        expected.get(i).ifPresent(gradient -> runner.fetch(tf.identity(gradient)));
        found.get(i).ifPresent(gradient -> runner.fetch(tf.identity(gradient)));
      }
      try (var result = runner.run()) {
        result.forEach(entry -> values.add(Tensors.floats(entry.getValue())));
      }
    }
    assertThat(values.size()).isGreaterThan(handles.size());
    double largest = 0;
    for (float[] some : values.subList(2, values.size())) {
      largest = Math.max(largest, norm(some, null));
    }
    double loss = Math.max(1, norm(values.get(0), null)); // a sum of many that cancel out
    assertThat(norm(values.get(0), values.get(1))).isLessThan(1e-5 * loss);
    for (int i = 2; i < values.size(); i += 2) {
      // Some are nought but for rounding: keys' biases move no softmax.
      double own = norm(values.get(i), null);
      double apart = norm(values.get(i), values.get(i + 1));
      assertThat(apart).isLessThan(1e-5 * Math.max(own, 0.5 * largest));
      if (own > 1e-5 * largest) {
        assertThat(apart).isLessThan(1e-3 * own);
      }
    }
  }

  /** The greatest absolute value, or difference. */
  private static double norm(float[] x, float[] y) {
    double largest = 0;
    for (int i = 0; i < x.length; i++) {
      largest = Math.max(largest, Math.abs(x[i] - (y == null ? 0 : y[i])));
    }
    return largest;
  }

  private record Fed(Map<Output<?>, Tensor> tensors) implements AutoCloseable {
    static Fed of(ImportedModel model, String signature, Map<String, NpyArray> inputs) {
      Map<Output<?>, Tensor> tensors = new LinkedHashMap<>();
      var specs = model.signatures().get(signature).inputs();
      specs.forEach(
          (name, in) ->
              tensors.put(
                  model.input(signature, name), ImportedModel.tensor(in, inputs.get(name))));
      return new Fed(tensors);
    }

    @Override
    public void close() {
      tensors.values().forEach(Tensor::close);
    }
  }

  @Test
  void whatIsTooNarrowToGainAnythingIsRefusedInOneLine() {
    Path path = ReferenceModels.directory("constructs/embed").resolve("saved_model");
    try (ImportedModel model = ImportedModel.load(path)) {
      var names = List.copyOf(model.signatures().get(SIGNATURE).outputs().keySet());
      assertThatThrownBy(() -> model.inParts(SIGNATURE, names, new Recomputation()))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("recomputation needs a graph of several layers")
          .hasMessageNotContaining("\n");
    }
  }
}
