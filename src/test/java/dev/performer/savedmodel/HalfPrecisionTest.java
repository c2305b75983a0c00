package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;

/** Variables of float16 are float32 in the graph and float16 again in what is written. */
class HalfPrecisionTest {
  private static final Path MODEL =
      ReferenceModels.directory("made/battery").resolve("saved_model");

  @Test
  void storesFloat16AsItWas(@TempDir Path folder) {
    try (ImportedModel model = ImportedModel.load(MODEL, "float16_variables")) {
      List<Variable> variables = model.variables();
      assertThat(variables)
          .hasSize(2)
          .allSatisfy(v -> assertThat(v.type()).isEqualTo(TFloat32.class));
      Ops tf = Ops.create(model.graph());
      Variable w =
          variables.stream().filter(v -> v.shape().numDimensions() == 2).findFirst().orElseThrow();
      var third = tf.math.div(w.<TFloat32>read(tf), tf.constant(3f));
      var divide = Variables.assign(tf, w, third);
      try (Session session = new Session(model.graph())) {
        model.restore(session);
        WeightReplacement.of(MODEL).export(session, variables, folder.resolve("same"));
        session.runner().addTarget(divide).run().close();
        WeightReplacement.of(MODEL).export(session, variables, folder.resolve("divided"));
        try (CheckpointReader before = reader(MODEL);
            CheckpointReader same = reader(folder.resolve("same"));
            CheckpointReader divided = reader(folder.resolve("divided"))) {
          for (Variable variable : variables) {
            String key = variable.checkpointKey();
            assertThat(same.entry(key).type()).isEqualTo(DataType.DT_HALF);
            assertThat(bytes(same, key)).isEqualTo(bytes(before, key));
          }
          String key = w.checkpointKey();
          try (TFloat16 old = (TFloat16) before.tensor(key);
              TFloat16 now = (TFloat16) divided.tensor(key)) {
            float wanted = old.getFloat(0, 0) / 3;
            assertThat(now.getFloat(0, 0))
                .isBetween(
                    Math.min(wanted * 0.999f, wanted * 1.001f),
                    Math.max(wanted * 0.999f, wanted * 1.001f));
          }
        }
      }
    }
  }

  private static CheckpointReader reader(Path model) {
    return CheckpointReader.open(model.resolve("variables/variables"));
  }

  private static byte[] bytes(CheckpointReader reader, String key) {
    try (Tensor tensor = reader.tensor(key)) {
      return Tensors.bytes(tensor);
    }
  }
}
