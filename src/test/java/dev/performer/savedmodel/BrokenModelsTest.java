package dev.performer.savedmodel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Session;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedModel;

/**
 * Damaged models end in one line that names what is wrong, before TensorFlow can take the JVM
 * along.
 */
class BrokenModelsTest {
  private static final Path WHOLE =
      ReferenceModels.directory("models/gr_softmax_P_bidir").resolve("saved_model");

  @TempDir Path folder;
  private Path model;

  @BeforeEach
  void copy() {
    model = ReferenceModels.copy(WHOLE, folder.resolve("model"));
  }

  @Test
  void notASavedModel() throws IOException {
    refused(folder.resolve("nowhere"), "does not exist");
    refused(model.resolve("saved_model.pb"), "is a file; a SavedModel is a directory");
    Files.delete(model.resolve("saved_model.pb"));
    refused(model, "is not a SavedModel: it has no file saved_model.pb");
    Files.writeString(model.resolve("checkpoint"), "model_checkpoint_path: \"ckpt-1\"");
    refused(model, "looks like a checkpoint");
  }

  @Test
  void garbageOrTruncatedGraph() throws IOException {
    Path file = model.resolve("saved_model.pb");
    byte[] whole = Files.readAllBytes(file);
    for (int length : new int[] {0, 1, 100, whole.length / 2, whole.length - 1}) {
      Files.write(file, Arrays.copyOf(whole, length));
      refused(model, "saved_model.pb");
    }
    Files.writeString(file, "this is no protocol buffer at all, only text\n");
    refused(model, "saved_model.pb");
    Files.write(file, new byte[1000]);
    refused(model, "saved_model.pb");
  }

  /** Whatever single bytes are wrong: either nothing is noticed, or one line reports it. */
  @Test
  void randomDamage() throws IOException {
    Path file = model.resolve("saved_model.pb");
    byte[] whole = Files.readAllBytes(file);
    Random random = new Random(11);
    int refused = 0;
    for (int i = 0; i < 300; i++) {
      byte[] damaged = whole.clone();
      for (int k = 0; k <= i % 3; k++) {
        damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
      }
      Files.write(file, damaged);
      try {
        ImportedModel.load(model).close();
      } catch (PerformerException e) {
        refused++;
        assertThat(e.getMessage().lines()).hasSize(1);
      }
    }
    assertThat(refused).isBetween(30, 290);
  }

  @Test
  void missingVariables() throws IOException {
    AtomicFiles.delete(model.resolve("variables"));
    refused(model, "variables/ is missing");
  }

  @Test
  void missingOrTruncatedIndex() throws IOException {
    Path index = model.resolve("variables/variables.index");
    byte[] whole = Files.readAllBytes(index);
    Files.write(index, Arrays.copyOf(whole, whole.length / 2));
    refused(model, "variables.index", "damaged or truncated");
    Files.write(index, new byte[0]);
    refused(model, "variables.index");
    Files.delete(index);
    refused(model, "variables.index is missing");
  }

  @Test
  void missingOrTruncatedData() throws IOException {
    Path data = model.resolve("variables/variables.data-00000-of-00001");
    byte[] whole = Files.readAllBytes(data);
    Files.write(data, Arrays.copyOf(whole, 100));
    refused(model, "truncated");
    Files.delete(data);
    refused(model, "variables.data-00000-of-00001 is missing");
  }

  @Test
  void flippedBitsInTheData() throws IOException {
    Path data = model.resolve("variables/variables.data-00000-of-00001");
    byte[] bytes = Files.readAllBytes(data);
    bytes[10] ^= 0x40;
    Files.write(data, bytes);
    refused(
        () -> {
          try (ImportedModel imported = ImportedModel.load(model);
              var session = new Session(imported.graph())) {
            imported.restore(session);
          }
        },
        "variables/ cannot be read");
  }

  @Test
  void noSuchSignature() {
    refused(
        () -> ImportedModel.load(model, "classify").close(),
        "has no signature classify; it has [serving_default]");
  }

  @Test
  void noServingTag() {
    edit(b -> b.getMetaGraphsBuilder(0).getMetaInfoDefBuilder().clearTags().addTags("train"));
    refused(model, "no graph of the model has the tag serve; the tags are [[train]]");
  }

  @Test
  void recursiveFunctions() {
    editGraph(
        graph -> {
          FunctionDef.Builder first = graph.getLibraryBuilder().getFunctionBuilder(0);
          String name = first.getSignature().getName();
          first.addNodeDef(NodeDef.newBuilder().setName("again").setOp(name));
        });
    refused(model, "recursive functions");
  }

  @Test
  void missingFunctionBody() {
    editGraph(graph -> graph.getLibraryBuilder().clearFunction());
    refused(model, "the function ", "is not in the model");
  }

  @Test
  void unknownOp() {
    editGraph(
        graph -> {
          for (NodeDef.Builder node : graph.getNodeBuilderList()) {
            if (node.getOp().equals("Placeholder")) {
              node.setOp("PlaceholderOfMine");
            }
          }
        });
    refused(
        model, "the op PlaceholderOfMine", "of the main graph", "is unknown to this TensorFlow");
  }

  @Test
  void unknownOpInAFunction() {
    editGraph(
        graph ->
            graph
                .getLibraryBuilder()
                .getFunctionBuilderList()
                .forEach(f -> f.addNodeDef(NodeDef.newBuilder().setName("odd").setOp("OddOp"))));
    refused(model, "the op OddOp (node odd of the function ");
  }

  @Test
  void negativeDimensions() {
    editGraph(
        graph -> {
          for (NodeDef.Builder node : graph.getNodeBuilderList()) {
            if (node.containsAttr("shape") && node.getOp().equals("Placeholder")) {
              var shape = node.getAttrOrThrow("shape").toBuilder();
              shape.getShapeBuilder().clearUnknownRank().clearDim().addDimBuilder().setSize(-7);
              node.putAttr("shape", shape.build());
            }
          }
        });
    refused(() -> ImportedModel.load(model).close(), "cannot be imported");
    refused(() -> SavedModelPredictor.load(model).close(), "cannot be loaded");
  }

  @Test
  void signatureOfATensorThatIsNotThere() {
    edit(
        b -> {
          var graph = b.getMetaGraphsBuilder(0);
          var signature = graph.getSignatureDefOrThrow("serving_default").toBuilder();
          signature
              .getOutputsMap()
              .forEach(
                  (key, info) ->
                      signature.putOutputs(key, info.toBuilder().setName("nowhere:0").build()));
          graph.putSignatureDef("serving_default", signature.build());
        });
    refused(() -> ImportedModel.load(model).close(), "the graph has no node nowhere");
  }

  @Test
  void callWithTooFewArguments() {
    editGraph(
        graph -> {
          for (NodeDef.Builder node : graph.getNodeBuilderList()) {
            if (node.getOp().equals("StatefulPartitionedCall")) {
              String first = node.getInput(0);
              node.clearInput().addInput(first);
            }
          }
        });
    refused(() -> ImportedModel.load(model).close(), "passes 1 arguments to the function");
  }

  private void edit(Consumer<SavedModel.Builder> change) {
    try {
      Path file = model.resolve("saved_model.pb");
      SavedModel.Builder builder = SavedModel.parseFrom(Files.readAllBytes(file)).toBuilder();
      change.accept(builder);
      Files.write(file, builder.build().toByteArray());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void editGraph(Consumer<GraphDef.Builder> change) {
    edit(builder -> change.accept(builder.getMetaGraphsBuilder(0).getGraphDefBuilder()));
  }

  private static void refused(Path path, String... parts) {
    refused(() -> SavedModelDirectory.open(path), parts);
    refused(() -> ImportedModel.load(path).close(), parts);
    refused(() -> SavedModelPredictor.load(path).close(), parts);
  }

  private static void refused(Runnable action, String... parts) {
    assertThatThrownBy(action::run)
        .isInstanceOf(PerformerException.class)
        .hasMessageContainingAll(parts)
        .extracting(e -> e.getMessage().lines().count())
        .isEqualTo(1L);
  }
}
