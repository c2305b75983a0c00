package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.groups.Tuple;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InspectionTest {

  @Test
  void describesAProteinModel() {
    Inspection inspection = inspect("models/protein_exp", "keras_saved_model");
    assertThat(inspection.origin()).startsWith("Keras 2");
    assertThat(inspection.tensorflowVersion()).startsWith("2.18");
    assertThat(inspection.signatures()).hasSize(1);
    Inspection.SignatureReport signature = inspection.signatures().get(0);
    assertThat(signature.inputs())
        .containsExactly(new Inspection.TensorReport("tokens", "int32", List.of(-1L, -1L)));
    assertThat(signature.trainable()).isTrue();
    assertThat(signature.trainableVariables()).isEqualTo(38);
    assertThat(inspection.projections())
        .extracting(Inspection.Projection::features, Inspection.Projection::size)
        .containsExactly(Tuple.tuple(16L, 8L), Tuple.tuple(16L, 8L));
    assertThat(inspection.ops())
        .containsKeys("Einsum", "ResourceGather")
        .doesNotContainKey("StatefulPartitionedCall");
    assertThat(inspection.variables())
        .filteredOn(v -> v.name().startsWith("Adam/"))
        .isNotEmpty()
        .allSatisfy(v -> assertThat(v.used()).isFalse());
    assertThat(inspection.parameters())
        .isEqualTo(inspection.trainableParameters())
        .isGreaterThan(20_000);
    assertThat(inspection.performerJson()).isEmpty();
  }

  @Test
  void knowsWhereModelsComeFrom() {
    assertThat(inspect("models/kernel_encoder", "saved_model").origin())
        .contains("Model Garden KernelAttention");
    assertThat(inspect("models/keras3_transformer", "exported_saved_model").origin())
        .isEqualTo("Keras 3");
    assertThat(inspect("made/tf1_reference", "saved_model").origin()).startsWith("TensorFlow 1");
    assertThat(inspect("made/ops", "saved_model").origin()).isEqualTo("TensorFlow 2 module");
  }

  @Test
  void saysWhatStopsTraining() {
    Inspection inspection = inspect("constructs/custom_grad_nosave", "saved_model");
    assertThat(inspection.trainable()).isFalse();
    assertThat(inspection.signatures().get(0).obstacles())
        .singleElement()
        .asString()
        .startsWith("IdentityN (node ")
        .contains("of the function __inference_");
  }

  @Test
  void listsAssetsAndKeepsGoingWhereASignatureCannotBeTrained() {
    Inspection inspection = inspect("made/structure", "saved_model");
    assertThat(inspection.assets()).containsExactly("vocabulary.txt");
    assertThat(inspection.signatures())
        .extracting(Inspection.SignatureReport::name, Inspection.SignatureReport::trainable)
        .contains(Tuple.tuple("level", true), Tuple.tuple("text", false));
  }

  @Test
  void showsOurOwnCard(@TempDir Path folder) throws IOException {
    Path source = ReferenceModels.directory("made/tf1_resource").resolve("saved_model");
    Path model = ReferenceModels.copy(source, folder.resolve("model"));
    Files.createDirectories(model.resolve("assets.extra"));
    Files.writeString(model.resolve("assets.extra/performer.json"), "{\"task\": \"masked-lm\"}");
    Inspection inspection = Inspection.of(model);
    assertThat(inspection.origin())
        .startsWith("TensorFlow 1"); // the card does not change who made it
    assertThat(inspection.performerJson()).isEqualTo("{\"task\": \"masked-lm\"}");
  }

  private static Inspection inspect(String name, String form) {
    return Inspection.of(ReferenceModels.directory(name).resolve(form));
  }
}
