package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.SavedModelBundle;
import org.tensorflow.Signature;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.SavedModel;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObject;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

class SavedModelExporterTest {
  private static final int[] IDS = {1, 4, 2, 8, 5, 7, 0, 3, 9, 10};

  @TempDir Path directory;

  private static float[] call(Path model, String signature, int[] ids, long... shape) {
    try (SavedModelBundle bundle = SavedModelBundle.load(model.toString(), "serve");
        TInt32 tokens = Tensors.of(ids, shape);
        Result result = bundle.function(signature).call(Map.of("tokens", tokens))) {
      return Tensors.floats(result.get("logits").orElseThrow());
    }
  }

  @Test
  void theExportComputesWhatTheGraphComputes() {
    try (SmallModel model = new SmallModel(1)) {
      Path target = directory.resolve("new/parents/model");
      model.exporter().export(model.session, target);
      assertThat(call(target, "serving_default", IDS, 2, 5)).isEqualTo(model.run(IDS, 2, 5));
      assertThat(call(target, "serving_default", IDS, 1, 10)).isEqualTo(model.run(IDS, 1, 10));
      assertThat(files(target))
          .containsExactlyInAnyOrder(
              "saved_model.pb",
              "variables/variables.index",
              "variables/variables.data-00000-of-00001");
      assertThat(files(target.getParent()))
          .allMatch(file -> file.startsWith("model/"), "nothing but the model is left");
    }
  }

  @Test
  void allSignaturesAreServable() {
    try (SmallModel model = new SmallModel(2)) {
      Path target = directory.resolve("model");
      model.exporter().export(model.session, target);
      try (SavedModelBundle bundle = SavedModelBundle.load(target.toString(), "serve");
          TInt32 tokens = Tensors.of(IDS, 2, 5);
          TFloat32 mask = Tensors.of(new float[] {1, 1, 1, 0, 0, 1, 1, 1, 1, 1}, 2, 5);
          Result result =
              bundle
                  .function("embed")
                  .call(Map.<String, Tensor>of("tokens", tokens, "mask", mask))) {
        assertThat(bundle.signatures())
            .extracting(Signature::methodName)
            .containsOnly("tensorflow/serving/predict");
        Signature embed = bundle.function("embed").signature();
        assertThat(embed.getInputs().get("tokens").shape.asArray()).containsExactly(-1, -1);
        assertThat(embed.getOutputs().get("per_token").shape.asArray()).containsExactly(-1, -1, 8);
        assertThat(Tensors.floats(result.get("count").orElseThrow())).containsExactly(3f, 5f);
        assertThat(result.get("per_token").orElseThrow().shape()).isEqualTo(Shape.of(2, 5, 8));
        assertThat(result.get("mean").orElseThrow().shape()).isEqualTo(Shape.of(2, 8));
      }
    }
  }

  @Test
  void aSignatureCanBeCutOutOfATrainedGraph() throws IOException {
    try (SmallModel model = new SmallModel(3)) {
      Operand<TFloat32> loss =
          model.tf.math.mean(
              model.tf.math.square(model.logits), model.tf.constant(new int[] {0, 1, 2}));
      Variable table = model.variables.get("embeddings/table");
      var gradient = model.graph.addGradients(loss.asOutput(), new Output<?>[] {table.handle()});
      var step =
          model.tf.train.resourceApplyGradientDescent(
              table.handle(), model.tf.constant(0.1f), gradient[0].expect(TFloat32.class));
      float[] before = model.run(IDS, 2, 5);
      try (TInt32 fed = Tensors.of(IDS, 2, 5)) {
        model.session.runner().feed(model.tokens, fed).addTarget(step).run().close();
      }
      float[] after = model.run(IDS, 2, 5);
      assertThat(after).isNotEqualTo(before);
      Path target = directory.resolve("cut");
      SavedModelExporter.builder()
          .variables(model.variables.all())
          .signature(
              "serving_default", Map.of("tokens", model.tokens), Map.of("logits", model.logits))
          .export(model.session, target);
      assertThat(call(target, "serving_default", IDS, 2, 5)).isEqualTo(after);
      assertThat(call(target, "serving_default", IDS, 5, 2)).isEqualTo(model.run(IDS, 5, 2));
      MetaGraphDef meta = meta(target);
      assertThat(meta.getGraphDef().getLibrary().getFunctionList())
          .allSatisfy(
              function ->
                  assertThat(function.getNodeDefList())
                      .noneMatch(node -> node.getOp().contains("GradientDescent")));
      assertThat(
              meta.getSignatureDefOrThrow("serving_default")
                  .getOutputsOrThrow("logits")
                  .getTensorShape()
                  .getDim(2)
                  .getSize())
          .isEqualTo(SmallModel.VOCABULARY);
    }
  }

  @Test
  void aPlaceholderThatIsNoInputIsNamed() {
    try (SmallModel model = new SmallModel(3)) {
      var other = model.tf.withName("forgotten").placeholder(TFloat32.class);
      var output = model.tf.math.add(model.logits, other);
      assertThatThrownBy(
              () ->
                  SavedModelExporter.builder()
                      .variables(model.variables.all())
                      .signature("s", Map.of("tokens", model.tokens), Map.of("y", output)))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("forgotten");
    }
  }

  @Test
  void aLookupTableIsRefused() {
    try (SmallModel model = new SmallModel(3)) {
      var table = model.tf.hashTable(TInt64.class, TInt64.class);
      var found =
          model.tf.lookupTableFind(
              table, model.tf.dtypes.cast(model.tokens, TInt64.class), model.tf.constant(0L));
      assertThatThrownBy(
              () ->
                  SavedModelExporter.builder()
                      .variables(model.variables.all())
                      .signature("s", Map.of("tokens", model.tokens), Map.of("y", found)))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("lookup table")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void theObjectGraphNamesVariablesAsPythonDoes() throws IOException {
    try (SmallModel model = new SmallModel(4)) {
      Path target = directory.resolve("model");
      model.exporter().export(model.session, target);
      try (CheckpointReader reader = CheckpointReader.open(target.resolve("variables/variables"))) {
        assertThat(reader.entries().keySet())
            .contains(
                "embeddings/table/.ATTRIBUTES/VARIABLE_VALUE",
                "layers/1/attention/query/.ATTRIBUTES/VARIABLE_VALUE",
                CheckpointReader.OBJECT_GRAPH_KEY)
            .hasSize(model.variables.all().size() + 1);
      }
      List<SavedObject> nodes = meta(target).getObjectGraphDef().getNodesList();
      List<String> trainable =
          nodes.stream()
              .filter(node -> node.hasVariable() && node.getVariable().getTrainable())
              .map(node -> node.getVariable().getName())
              .toList();
      assertThat(trainable)
          .containsExactlyElementsOf(
              model.variables.trainable().stream().map(Variable::name).toList());
    }
  }

  @Test
  void theSameGraphGivesTheSameBytes() throws IOException {
    byte[] first;
    try (SmallModel model = new SmallModel(5)) {
      model.exporter().export(model.session, directory.resolve("a"));
      first = Files.readAllBytes(directory.resolve("a/saved_model.pb"));
    }
    try (SmallModel model = new SmallModel(5)) {
      model.exporter().export(model.session, directory.resolve("b"));
      assertThat(Files.readAllBytes(directory.resolve("b/saved_model.pb"))).isEqualTo(first);
    }
  }

  @Test
  void aTakenPlaceIsRefusedUnlessReplacingIsRequested() throws IOException {
    try (SmallModel model = new SmallModel(6);
        SmallModel other = new SmallModel(7)) {
      Path target = directory.resolve("model");
      model.exporter().export(model.session, target);
      assertThatThrownBy(() -> other.exporter().export(other.session, target))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("exists and is not empty");
      assertThat(call(target, "serving_default", IDS, 2, 5)).isEqualTo(model.run(IDS, 2, 5));
      other.exporter().replaceExisting().export(other.session, target);
      assertThat(call(target, "serving_default", IDS, 2, 5)).isEqualTo(other.run(IDS, 2, 5));
      assertThat(files(directory)).allMatch(file -> file.startsWith("model/"));

      Path documents = Files.createDirectory(directory.resolve("documents"));
      Files.writeString(documents.resolve("letter.txt"), "dear");
      assertThatThrownBy(() -> other.exporter().replaceExisting().export(other.session, documents))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("not replaced");
      assertThat(documents.resolve("letter.txt")).hasContent("dear");
    }
  }

  @Test
  void aPlaceThatCannotBeWrittenIsOneLine() throws IOException {
    try (SmallModel model = new SmallModel(6)) {
      Path file = Files.writeString(directory.resolve("file"), "x");
      for (Path target : List.of(file, file.resolve("model"), Path.of("/proc/none/model"))) {
        assertThatThrownBy(() -> model.exporter().export(model.session, target))
            .as(target.toString())
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining(target.toString())
            .hasMessageNotContaining("\n");
      }
      assertThat(files(directory)).containsExactly("file");
      model.exporter().export(model.session, directory.resolve("fine"));
    }
  }

  private static MetaGraphDef meta(Path model) throws IOException {
    return SavedModel.parseFrom(Files.readAllBytes(model.resolve("saved_model.pb")))
        .getMetaGraphs(0);
  }

  private static List<String> files(Path root) {
    try (Stream<Path> files = Files.walk(root)) {
      return files
          .filter(Files::isRegularFile)
          .map(file -> root.relativize(file).toString())
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
