package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.LossGradients;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedModel;

/** An import that fails late gives back the gradients that its graph had been given. */
class FailedImportTest {
  @TempDir Path folder;

  @Test
  void theGradientsOfAGraphGoWithIt() throws Exception {
    Path model =
        ReferenceModels.copy(
            ReferenceModels.directory("constructs/custom_grad").resolve("saved_model"),
            folder.resolve("model"));
    try (ImportedModel whole = ImportedModel.load(model)) {
      assertThat(graphsWithGradients().containsKey(whole.graph())).isTrue();
    }
    int before = graphsWithGradients().size();
    damage(model.resolve("saved_model.pb"));
    assertThatThrownBy(() -> ImportedModel.load(model))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("the asset ../../secret is not inside");
    assertThat(graphsWithGradients()).hasSizeLessThanOrEqualTo(before);
  }

  /** A lookup table, whose asset lies elsewhere: that is found when the graph is whole. */
  private static void damage(Path file) throws IOException {
    SavedModel.Builder model = SavedModel.parseFrom(Files.readAllBytes(file)).toBuilder();
    MetaGraphDef.Builder meta = model.getMetaGraphsBuilder(0);
    for (NodeDef.Builder node : meta.getGraphDefBuilder().getNodeBuilderList()) {
      if (node.getOp().equals("StatefulPartitionedCall")) {
        node.addInput("^table");
      }
    }
    meta.getGraphDefBuilder()
        .addNode(
            GraphProtos.node("table", "HashTableV2")
                .putAttr("key_dtype", GraphProtos.type(DataType.DT_STRING))
                .putAttr("value_dtype", GraphProtos.type(DataType.DT_INT64)));
    meta.addAssetFileDefBuilder()
        .setFilename("../../secret")
        .getTensorInfoBuilder()
        .setName("table:0");
    Files.write(file, model.build().toByteArray());
  }

  private static Map<?, ?> graphsWithGradients() throws ReflectiveOperationException {
    Field field = LossGradients.class.getDeclaredField("ATTACHED");
    field.setAccessible(true);
    return (Map<?, ?>) field.get(null);
  }
}
