package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.nn.Dropout;
import dev.performer.testing.ReferenceCase;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.Operand;
import org.tensorflow.types.TInt32;

/** Encoders of Google's Long Range Arena. */
class LongRangeArenaTest {

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          encoder_cls_generalized          | {classToken: true, pooling: cls}
          encoder_mean_softmax             | {attention: {kernel: softmax, features: 6}}
          encoder_mean_learnpos_dotproduct | {positions: learned, attention: {exact: true, maskQueries: true}}
          encoder_no_head                  | {task: encoder, classes: 0, classifierSizes: []}
          """)
  void reproducesOutputs(String name, String keys) {
    ObjectNode own =
        (ObjectNode)
            Json.of(
                "{preset: lra-encoder, vocabularySize: 20, hiddenSize: 16, heads: 2, layers: 2,"
                    + " mlpSize: 24, maxLength: 12, classes: 3, classifierSizes: [24]}");
    own.setAll((ObjectNode) Json.of(keys));
    Map<String, NpyArray> golden = new LinkedHashMap<>();
    Npz.read(ReferenceCase.directory("/reference/lra_models").resolve(name + ".npz"))
        .forEach((key, array) -> golden.put(key.replace("encoderblock_", "block_"), array));
    try (ModelRun run = new ModelRun(PerformerConfig.of(own, "test"))) {
      run.load(Names.flax().arrays(golden, "param/", run.config));
      Operand<TInt32> tokens = run.ints();
      Outputs out = run.performer.apply(run.tf, Inputs.of(tokens), Dropout.none());
      float[] actual =
          run.run(
                  Map.of(tokens, golden.get("tokens")),
                  List.of(out.classLogits() == null ? out.sequence() : out.classLogits()))
              .get(0);
      assertThat(ModelRun.error(actual, golden.get("out").floats())).isLessThan(1e-5);
    }
  }
}
