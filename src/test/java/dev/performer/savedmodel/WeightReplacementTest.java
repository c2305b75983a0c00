package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FingerprintDef;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

class WeightReplacementTest {
  private static final String SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE";
  private static final Path PROTEIN =
      ReferenceModels.directory("models/protein_exp").resolve("keras_saved_model");
  private static final Path KERAS_3 =
      ReferenceModels.directory("models/keras3_transformer").resolve("exported_saved_model");

  @TempDir Path directory;

  /** A graph that holds some of a model's variables. */
  static final class Weights implements AutoCloseable {
    final Graph graph = new Graph();
    final Session session = new Session(graph);
    final Ops tf = Ops.create(graph);
    final Variables variables = new Variables(tf);

    Weights(Path model, Predicate<String> keys) {
      Path prefix = model.resolve("variables/variables");
      try (CheckpointReader reader = CheckpointReader.open(prefix)) {
        reader
            .entries()
            .forEach(
                (key, entry) -> {
                  if (keys.test(key) && entry.type() != DataType.DT_STRING) {
                    String name = key.substring(0, key.length() - SUFFIX.length());
                    variables.declare(name, Tensors.javaType(entry.type()), entry.shape(), true);
                  }
                });
      }
      if (!variables.all().isEmpty()) {
        SaveRestore.of(tf, variables.all()).restore(session, prefix);
      }
    }

    /** Adds a number to every float32 variable. */
    void shift(float by) {
      Session.Runner runner = session.runner();
      for (Variable variable : variables.all()) {
        if (variable.type() == TFloat32.class) {
          Op update =
              Variables.assign(
                  tf, variable, tf.math.add(variable.<TFloat32>read(tf), tf.constant(by)));
          runner.addTarget(update);
        }
      }
      runner.run().close();
    }

    @Override
    public void close() {
      session.close();
      graph.close();
    }
  }

  private static byte[] bytes(CheckpointReader reader, String key) {
    if (reader.entry(key).type() == DataType.DT_STRING) {
      return reader.string(key);
    }
    try (Tensor tensor = reader.tensor(key)) {
      return Tensors.bytes(tensor);
    }
  }

  @Test
  void trainedKeysChangeAndAllOthersStayBitForBit() throws IOException {
    Path target = directory.resolve("new");
    Predicate<String> trained = key -> key.startsWith("layer_with_weights-");
    try (Weights weights = new Weights(PROTEIN, trained)) {
      weights.shift(0.5f);
      WeightReplacement.Report report =
          WeightReplacement.of(PROTEIN).export(weights.session, weights.variables.all(), target);
      assertThat(report.copies()).isEmpty();
      assertThat(report.replaced()).isNotEmpty().allMatch(trained);
      assertThat(report.kept()).contains(CheckpointReader.OBJECT_GRAPH_KEY);
    }
    Set<String> changed = new HashSet<>();
    try (CheckpointReader before = CheckpointReader.open(PROTEIN.resolve("variables/variables"));
        CheckpointReader after = CheckpointReader.open(target.resolve("variables/variables"))) {
      assertThat(after.entries()).isEqualTo(before.entries());
      for (String key : before.entries().keySet()) {
        if (!Arrays.equals(bytes(before, key), bytes(after, key))) {
          changed.add(key);
        }
      }
      assertThat(changed)
          .containsExactlyInAnyOrderElementsOf(
              before.entries().keySet().stream().filter(trained).toList());
      String key = changed.iterator().next();
      try (Tensor a = before.tensor(key);
          Tensor b = after.tensor(key)) {
        assertThat(Tensors.floats(b)[0]).isEqualTo(Tensors.floats(a)[0] + 0.5f);
      }
    }
    for (String file : List.of("saved_model.pb", "keras_metadata.pb")) {
      assertThat(target.resolve(file)).hasSameBinaryContentAs(PROTEIN.resolve(file));
    }
  }

  @Test
  void unchangedWeightsGiveTheSameModel() {
    Path target = directory.resolve("same");
    try (Weights weights = new Weights(PROTEIN, key -> key.endsWith(SUFFIX))) {
      WeightReplacement.of(PROTEIN).export(weights.session, weights.variables.all(), target);
    }
    assertThat(outputs(target)).usingRecursiveComparison().isEqualTo(outputs(PROTEIN));
  }

  private static List<float[]> outputs(Path model) {
    try (SavedModelBundle bundle = SavedModelBundle.load(model.toString(), "serve")) {
      var function = bundle.function("serving_default");
      String input = function.signature().inputNames().iterator().next();
      int[] ids = new int[16];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = 1 + i % 20;
      }
      try (TInt32 tokens = Tensors.of(ids, 1, 16);
          Result result = function.call(Map.of(input, tokens))) {
        return new TreeSet<>(function.signature().outputNames())
            .stream().map(name -> Tensors.floats(result.get(name).orElseThrow())).toList();
      }
    }
  }

  @Test
  void fingerprintHashesTheNewIndex() throws IOException {
    FingerprintDef old =
        FingerprintDef.parseFrom(Files.readAllBytes(PROTEIN.resolve("fingerprint.pb")));
    byte[] oldIndex = Files.readAllBytes(PROTEIN.resolve("variables/variables.index"));
    assertThat(WeightReplacement.farmHash(oldIndex)).isEqualTo(old.getCheckpointHash());

    Path target = directory.resolve("new");
    try (Weights weights = new Weights(PROTEIN, key -> key.startsWith("layer_with_weights-"))) {
      weights.shift(1f);
      WeightReplacement.of(PROTEIN).export(weights.session, weights.variables.all(), target);
    }
    FingerprintDef now =
        FingerprintDef.parseFrom(Files.readAllBytes(target.resolve("fingerprint.pb")));
    byte[] index = Files.readAllBytes(target.resolve("variables/variables.index"));
    assertThat(now.getCheckpointHash())
        .isEqualTo(WeightReplacement.farmHash(index))
        .isNotEqualTo(old.getCheckpointHash());
    assertThat(now.toBuilder().clearCheckpointHash().build())
        .isEqualTo(old.toBuilder().clearCheckpointHash().build());
  }

  @Test
  void bothCopiesOfAKeras3VariableGetTheNewValue() {
    Path target = directory.resolve("new");
    try (Weights weights = new Weights(KERAS_3, key -> key.startsWith("_all_variables/"))) {
      weights.shift(0.25f);
      WeightReplacement.Report report =
          WeightReplacement.of(KERAS_3).export(weights.session, weights.variables.all(), target);
      assertThat(report.replaced()).hasSize(36);
      assertThat(report.copies()).hasSize(36).allMatch(key -> key.startsWith("variables/"));
      assertThat(report.kept()).containsExactly(CheckpointReader.OBJECT_GRAPH_KEY);
    }
    try (CheckpointReader before = CheckpointReader.open(KERAS_3.resolve("variables/variables"));
        CheckpointReader after = CheckpointReader.open(target.resolve("variables/variables"))) {
      for (String key : after.entries().keySet()) {
        if (key.startsWith("variables/")) {
          try (Tensor a = before.tensor(key);
              Tensor b = after.tensor(key)) {
            float[] shifted = Tensors.floats(a);
            for (int i = 0; i < shifted.length; i++) {
              shifted[i] += 0.25f;
            }
            assertThat(Tensors.floats(b)).as(key).isEqualTo(shifted);
          }
        }
      }
    }
  }

  @Test
  void disagreementsAreListedTogether() {
    try (Weights weights = new Weights(PROTEIN, key -> key.startsWith("layer_with_weights-3/"))) {
      Variable some = weights.variables.all().get(0);
      List<Variable> variables = new ArrayList<>(weights.variables.all());
      variables.add(some.withCheckpointKey("elsewhere" + SUFFIX));
      variables.add(some.withCheckpointKey("layer_with_weights-0/embeddings" + SUFFIX));
      Path target = directory.resolve("new");
      assertThatThrownBy(
              () -> WeightReplacement.of(PROTEIN).export(weights.session, variables, target))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("elsewhere")
          .hasMessageContaining("layer_with_weights-0/embeddings")
          .hasMessageNotContaining("\n");
      assertThat(target).doesNotExist();
    }
  }

  @Test
  void whatIsNoModelIsRefused() throws IOException {
    assertThatThrownBy(() -> WeightReplacement.of(directory))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("not a SavedModel");
    Files.copy(PROTEIN.resolve("saved_model.pb"), directory.resolve("saved_model.pb"));
    assertThatThrownBy(() -> WeightReplacement.of(directory))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no variables");
  }

  @Test
  void aModelWithoutVariablesIsCopied() {
    Path model = new MadeGraph().add(MadeGraph.floats("y", "Neg", "x")).write(directory);
    Path target = directory.resolveSibling(directory.getFileName() + "-copy");
    try (Weights weights = new Weights(PROTEIN, key -> false)) {
      WeightReplacement.Report report =
          WeightReplacement.of(model).export(weights.session, List.of(), target);
      assertThat(report.replaced()).isEmpty();
      assertThat(target.resolve("saved_model.pb"))
          .hasSameBinaryContentAs(model.resolve("saved_model.pb"));
    } finally {
      AtomicFiles.discard(target);
    }
  }

  @Test
  void exportsLeaveTheGraphAsItIs() {
    try (Weights weights = new Weights(PROTEIN, key -> key.startsWith("layer_with_weights-"))) {
      weights.shift(1f); // reads every variable
      int before = weights.graph.toGraphDef().getNodeCount();
      WeightReplacement.of(PROTEIN)
          .export(weights.session, weights.variables.all(), directory.resolve("a"));
      assertThat(weights.graph.toGraphDef().getNodeCount()).isEqualTo(before);
    }
  }

  @Test
  void theOriginalCanBeReplacedInPlaceButNotNested() throws IOException {
    Path model = directory.resolve("model");
    ReferenceModels.copy(PROTEIN, model);
    try (Weights weights = new Weights(model, key -> key.startsWith("layer_with_weights-"))) {
      weights.shift(1f);
      List<Variable> all = weights.variables.all();
      assertThatThrownBy(
              () -> WeightReplacement.of(model).export(weights.session, all, model.resolve("x")))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("inside one another");
      assertThatThrownBy(() -> WeightReplacement.of(model).export(weights.session, all, model))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("exists");
      ModelCard card =
          ModelCard.of(
              null,
              null,
              null,
              new ModelCard.Provenance(
                  "protein",
                  null,
                  null,
                  null,
                  "proteins",
                  7L,
                  3L,
                  Map.of("tensorflow", "2.18.0"),
                  null,
                  null,
                  "now"));
      float[] before = outputs(model).get(0);
      WeightReplacement.of(model).card(card).replaceExisting().export(weights.session, all, model);
      assertThat(outputs(model).get(0)).isNotEqualTo(before);
      assertThat(ModelCard.read(model)).contains(card);
      try (Stream<Path> files = Files.list(directory)) {
        assertThat(files).containsExactly(model);
      }
    }
  }
}
