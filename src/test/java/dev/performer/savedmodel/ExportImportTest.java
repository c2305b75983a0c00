package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.assertj.core.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Session;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Exports come back through the importer and can be trained on; imports go out with new weights.
 */
class ExportImportTest {
  private static final int[] IDS = {1, 4, 2, 8, 5, 7, 0, 3, 9, 10};
  private static final Path PROTEIN =
      ReferenceModels.directory("models/protein_exp").resolve("keras_saved_model");

  @TempDir Path directory;

  private static float[] run(Session session, Output<?> tokens, Output<?> output, long... shape) {
    try (TInt32 fed = Tensors.of(IDS, shape);
        Result result = session.runner().feed(tokens, fed).fetch(output).run()) {
      return Tensors.floats(result.get(0));
    }
  }

  /** Moves every trainable variable a little against the gradient of the mean square. */
  private static void train(
      Session session, Ops tf, Output<?> tokens, Output<?> output, List<Variable> variables) {
    Operand<TFloat32> y = output.expect(TFloat32.class);
    Operand<TFloat32> loss =
        tf.math.mean(tf.math.square(y), tf.range(tf.constant(0), tf.rank(y), tf.constant(1)));
    List<Variable> trained = variables.stream().filter(Variable::trainable).toList();
    Output<?>[] gradients =
        session
            .graph()
            .addGradients(
                loss.asOutput(), trained.stream().map(Variable::handle).toArray(Output<?>[]::new));
    Session.Runner runner = session.runner();
    for (int i = 0; i < gradients.length; i++) {
      runner.addTarget(descend(tf, trained.get(i), gradients[i]));
    }
    try (TInt32 fed = Tensors.of(IDS, 2, 5)) {
      runner.feed(tokens, fed).run().close();
    }
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static Op descend(Ops tf, Variable variable, Output<?> gradient) {
    Operand step =
        tf.math.mul((Operand) gradient, tf.dtypes.cast(tf.constant(0.1f), (Class) variable.type()));
    return Variables.assign(tf, variable, tf.math.sub((Operand) variable.read(tf), step));
  }

  @Test
  void anExportIsImportedTrainedAndExportedAgain() {
    Path first = directory.resolve("first");
    Path second = directory.resolve("second");
    float[] before;
    try (SmallModel model = new SmallModel(11)) {
      model.exporter().export(model.session, first);
      before = model.run(IDS, 2, 5);
    }
    try (ImportedModel imported = ImportedModel.load(first);
        Session session = new Session(imported.graph())) {
      Ops tf = Ops.create(imported.graph());
      imported.restore(session);
      Output<?> tokens = imported.input("serving_default", "tokens");
      Output<?> logits = imported.output("serving_default", "logits");
      assertThat(run(session, tokens, logits, 2, 5)).isEqualTo(before);
      assertThat(imported.variables().stream().filter(v -> !v.trainable()).map(Variable::name))
          .containsExactlyInAnyOrder(
              "layers/0/attention/projection", "layers/1/attention/projection");
      train(session, tf, tokens, logits, imported.variables());
      float[] after = run(session, tokens, logits, 2, 5);
      assertThat(after).isNotEqualTo(before);
      WeightReplacement.of(first).export(session, imported.variables(), second);
      assertThat(call(second, "serving_default", "tokens").get("logits")).isEqualTo(after);

      // An imported graph is an ordinary graph: what it became can be cut out, too.
      Path cut = directory.resolve("cut");
      SavedModelExporter.builder()
          .variables(imported.variables())
          .signature("serving_default", Map.of("tokens", tokens), Map.of("logits", logits))
          .export(session, cut);
      assertThat(call(cut, "serving_default", "tokens").get("logits")).isEqualTo(after);
    }
  }

  @Test
  void aTrainedPythonModelKeepsItsSignatures() {
    try (ImportedModel imported = ImportedModel.load(PROTEIN);
        Session session = new Session(imported.graph())) {
      Ops tf = Ops.create(imported.graph());
      imported.restore(session);
      SignatureSpec signature = imported.signatures().get("serving_default");
      String input = signature.inputs().keySet().iterator().next();
      Output<?> tokens = imported.input("serving_default", input);
      String name =
          signature.outputs().keySet().stream()
              .filter(o -> imported.output("serving_default", o).shape().numDimensions() == 3)
              .findFirst()
              .orElseThrow();
      Output<?> logits = imported.output("serving_default", name);
      Map<String, float[]> before = call(PROTEIN, "serving_default", input);
      List<Variable> used =
          imported.variables().stream()
              .filter(Variable::trainable)
              .filter(v -> !v.name().startsWith("class_head"))
              .toList();
      train(session, tf, tokens, logits, used);
      Path target = directory.resolve("trained");
      WeightReplacement.of(PROTEIN).export(session, imported.variables(), target);
      float[] expected = run(session, tokens, logits, 2, 5);
      float[] actual = call(target, "serving_default", input).get(name);
      assertThat(actual).isNotEqualTo(before.get(name));
      for (int i = 0; i < actual.length; i++) {
        assertThat(actual[i]).isCloseTo(expected[i], Assertions.within(2e-5f));
      }
    }
  }

  private static Map<String, float[]> call(Path model, String signature, String input) {
    Map<String, float[]> outputs = new TreeMap<>();
    try (SavedModelBundle bundle = SavedModelBundle.load(model.toString(), "serve");
        TInt32 tokens = Tensors.of(IDS, 2, 5);
        Result result = bundle.function(signature).call(Map.of(input, tokens))) {
      result.forEach(entry -> outputs.put(entry.getKey(), Tensors.floats(entry.getValue())));
    }
    return outputs;
  }
}
