package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.UnknownFieldSet;
import dev.performer.data.NpyArray;
import dev.performer.pipeline.Exporter.Exported;
import dev.performer.pipeline.PythonConverter.Format;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.ServingForm;
import dev.performer.savedmodel.ServingForm.Precision;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExporterTest {
  private static final Path MASKED = Path.of("savedmodels/protein-mlm/saved_model");
  private static final Path TRAINS =
      Path.of("savedmodels/reference/protein_relu_causal/train_saved_model");
  private static final Path FIXED = Path.of("savedmodels/reference/gr_relu_bidir/saved_model");
  private static final ServingForm FROZEN = ServingForm.AS_IS.freezing(true);

  @TempDir static Path shared;
  private static Path causal;

  @TempDir Path folder;

  @BeforeAll
  static void makeCausal() {
    causal = shared.resolve("lm");
    Importer.of(Path.of("savedmodels/checkpoints/lm_relu")).write(causal, false);
  }

  private Path export(Path source, ServingForm form) {
    Path target = folder.resolve("export" + Math.abs(form.hashCode()));
    return Exporter.to(target).in(form).export(source, "best").model();
  }

  /** Runs each signature of the first model on both; the largest difference of the outputs. */
  private static double difference(Path model, Path other, int rows, int length) {
    double worst = 0;
    try (Predictor expected = Predictor.load(model);
        Predictor found = Predictor.load(other)) {
      var signatures = new TreeSet<>(expected.model().signatures().keySet());
      signatures.retainAll(
          List.of("serving_default", "embed", "score", "prefill", "decode_step", "extend"));
      assertThat(found.model().signatures().keySet()).containsAll(signatures);
      Map<String, NpyArray> states = new LinkedHashMap<>();
      for (String signature :
          List.of("serving_default", "embed", "score", "prefill", "decode_step")) {
        if (!expected.model().signatures().containsKey(signature)) {
          continue;
        }
        Map<String, NpyArray> inputs = new LinkedHashMap<>();
        for (String name : expected.model().signatures().get(signature).inputs().keySet()) {
          inputs.put(name, input(name, states, rows, length));
        }
        Map<String, NpyArray> outputs = expected.predict(signature, inputs);
        Map<String, NpyArray> others = found.predict(signature, inputs);
        states.putAll(outputs);
        for (String name : outputs.keySet()) {
          float[] a = outputs.get(name).floats();
          float[] b = others.get(name).floats();
          assertThat(b).hasSameSizeAs(a);
          double largest = 1;
          for (float value : a) {
            largest = Math.max(largest, Math.abs(value));
          }
          for (int i = 0; i < a.length; i++) {
            worst = Math.max(worst, Math.abs(a[i] - b[i]) / largest);
          }
        }
      }
    }
    return worst;
  }

  private static NpyArray input(String name, Map<String, NpyArray> states, int rows, int length) {
    int[] one = IntStream.range(0, rows).map(i -> 3 + i).toArray();
    return switch (name) {
      case "tokens" ->
          NpyArray.of(IntStream.range(0, rows * length).map(i -> i % 20).toArray(), rows, length);
      case "lengths" -> NpyArray.of(IntStream.range(0, rows).map(i -> length - i).toArray(), rows);
      case "token", "position" -> NpyArray.of(one, rows);
      default -> states.get(name);
    };
  }

  @Test
  void aFrozenModelComputesTheSameWithoutVariables() {
    Path frozen = export(MASKED, FROZEN);
    assertThat(frozen.resolve("variables")).doesNotExist();
    assertThat(SavedModelDirectory.open(frozen).variables()).isEmpty();
    assertThat(difference(MASKED, frozen, 2, 9)).isLessThanOrEqualTo(1e-6);
  }

  @Test
  void bfloat16HalvesTheWeightsAndKeepsFloatOutputs() throws IOException {
    Path narrow = export(MASKED, ServingForm.AS_IS.in(Precision.BFLOAT16));
    Path data = Path.of("variables/variables.data-00000-of-00001");
    long before =
        SavedModelDirectory.open(MASKED).variables().stream().mapToLong(v -> v.size()).sum() * 4;
    assertThat(Files.size(narrow.resolve(data))).isLessThan(before * 6 / 10);
    double worst = difference(MASKED, narrow, 2, 9);
    assertThat(worst).isBetween(1e-5, 0.05);
  }

  @Test
  void allInputsAndOutputsOfAStaticModelHaveFixedSizes() {
    for (ServingForm form : List.of(ServingForm.AS_IS.sized(2L, 10L), FROZEN.sized(2L, 10L))) {
      Path fixed = export(causal, form);
      for (var signature : SavedModelDirectory.open(fixed).signatures().values()) {
        assertThat(signature.inputs().values()).noneMatch(i -> i.shape().hasUnknownDimension());
        assertThat(signature.outputs().values()).noneMatch(o -> o.shape().hasUnknownDimension());
      }
      assertThat(difference(causal, fixed, 2, 10)).isLessThanOrEqualTo(1e-6);
    }
  }

  @Test
  void aSignatureWhoseSizesStayOpenIsLeftOutOrRefused() {
    Exporter fixing = Exporter.to(folder.resolve("fixed")).in(FROZEN.sized(1L, 8L));
    assertThat(fixing.export(causal, "best").notes())
        .singleElement()
        .satisfies(
            note -> assertThat(note).contains("signature generate is left out", "max_new_tokens"));
    ServingForm named = FROZEN.sized(1L, 8L).keeping(List.of("generate"));
    assertThatThrownBy(() -> export(causal, named)).hasMessageContaining("no number of dimensions");
  }

  @Test
  void anOlderModelOfOursGetsTheSignatureGenerate() {
    Path older = export(causal, ServingForm.AS_IS.keeping(List.of("serving_default", "prefill")));
    Path newer =
        Exporter.to(folder.resolve("newer")).generating(true).export(older, "best").model();
    assertThat(SavedModelDirectory.open(newer).signatures())
        .containsKeys("generate", "decode_step");
    assertThatThrownBy(
            () -> Exporter.to(folder.resolve("no")).generating(true).export(MASKED, "best"))
        .hasMessageContainingAll(MASKED.toString(), "no signature generate");
  }

  @Test
  void whatAModelCannotBecomeIsRefusedInALine() throws IOException {
    assertThatThrownBy(() -> export(TRAINS, FROZEN))
        .hasMessageContainingAll(
            TRAINS.toString(), "AssignSubVariableOp", "leave its signature out");
    Path left = export(TRAINS, FROZEN.keeping(List.of("serving_default")));
    assertThat(SavedModelDirectory.open(left).signatures()).containsOnlyKeys("serving_default");
    assertThatThrownBy(() -> export(FIXED, FROZEN.sized(2L, 16L)))
        .hasMessageContainingAll(FIXED.toString(), "no input with an open length");
    assertThatThrownBy(() -> export(causal, FROZEN.sized(2L, null)))
        .hasMessageContainingAll(causal.toString(), "tokens", "open length");
    assertThatThrownBy(() -> export(causal, FROZEN.sized(1L, 65L)))
        .hasMessageContainingAll("64 tokens at most, not 65");
    assertThatThrownBy(() -> export(causal, FROZEN.keeping(List.of("nothing"))))
        .hasMessageContainingAll("has no signature nothing", "serving_default");
    try (var files = Files.list(folder)) {
      assertThat(files).containsExactly(left);
    }
  }

  @Test
  void aVersionIsThereWholeOrNotAtAll() throws Exception {
    Path base = folder.resolve("base");
    AtomicBoolean isDone = new AtomicBoolean();
    List<String> halves = new ArrayList<>();
    Thread watcher =
        new Thread(
            () -> {
              Path seen = base.resolve("7");
              while (!isDone.get()) {
                if (Files.exists(seen) && !Files.exists(seen.resolve("README.md"))) {
                  halves.add("half");
                }
              }
            });
    watcher.start();
    Exported exported = Exporter.to(base).version(7L).export(causal, "best");
    isDone.set(true);
    watcher.join();
    assertThat(halves).isEmpty();
    assertThat(exported.model()).isEqualTo(base.resolve("7"));
    assertThat(exported.notes()).isEmpty();
    try (var files = Files.list(base)) {
      assertThat(files).containsExactly(base.resolve("7"));
    }
    assertThatThrownBy(() -> Exporter.to(base).version(7L).export(MASKED, "best"))
        .hasMessageContainingAll(base.resolve("7").toString(), "never replaced");
    assertThatThrownBy(() -> Exporter.to(base.resolve("7")).version(1L).export(MASKED, "best"))
        .hasMessageContaining("is a SavedModel; versions need a directory");
    assertThatThrownBy(() -> Exporter.to(base).version(7L).replacing(true))
        .hasMessageContaining("not replaced");
    Path never = folder.resolve("never");
    assertThatThrownBy(() -> Exporter.to(never).version(1L).in(FROZEN).export(TRAINS, "best"))
        .hasMessageContaining("AssignSubVariableOp");
    assertThat(never).doesNotExist();
  }

  @Test
  void eachSignatureHasAWarmUpRequestThatRuns() throws IOException {
    Path model = Exporter.to(folder.resolve("lm")).version(1L).export(causal, "best").model();
    List<String> signatures = new ArrayList<>();
    ByteBuffer file =
        ByteBuffer.wrap(
            Files.readAllBytes(model.resolve("assets.extra/tf_serving_warmup_requests")));
    file.order(ByteOrder.LITTLE_ENDIAN);
    while (file.hasRemaining()) {
      byte[] log = new byte[(int) file.getLong()];
      file.getInt();
      file.get(log).getInt();
      var request = message(message(UnknownFieldSet.parseFrom(log), 6), 1);
      var spec = message(request, 1);
      assertThat(spec.getField(1).getLengthDelimitedList().get(0).toStringUtf8()).isEqualTo("lm");
      String name = spec.getField(3).getLengthDelimitedList().get(0).toStringUtf8();
      signatures.add(name);
      int inputs = Model.open(model).signatures().get(name).inputs().size();
      assertThat(request.getField(2).getLengthDelimitedList()).hasSize(inputs);
    }
    assertThat(signatures).containsExactlyElementsOf(Model.open(causal).signatures().keySet());
    Path without =
        Exporter.to(folder.resolve("no")).version(1L).warmup(false).export(causal, "best").model();
    assertThat(without.resolve("assets.extra/tf_serving_warmup_requests")).doesNotExist();
  }

  private static UnknownFieldSet message(UnknownFieldSet in, int field) throws IOException {
    return UnknownFieldSet.parseFrom(in.getField(field).getLengthDelimitedList().get(0));
  }

  @Test
  void theModelCardHoldsWhatIsRecordedAndNoMore() throws IOException {
    String card = Files.readString(export(MASKED, FROZEN).resolve("README.md"));
    assertThat(card)
        .startsWith("---\n")
        .contains(
            "pipeline_tag: fill-mask", "training/data/train.fasta.gz", "constants of the graph")
        .contains("| `serving_default` | tokens int32 [?, ?] | logits float32 [?, ?, 29] |")
        .contains("no configuration is recorded")
        .doesNotContain("null", "license:");
    Path own = Exporter.to(folder.resolve("own")).export(causal, "best").model();
    assertThat(own.resolve("README.md")).content().contains("2 layers of width 32", "not recorded");
    Files.writeString(own.resolve("README.md"), "# Ours\n");
    Path again = Exporter.to(folder.resolve("again")).export(own, "best").model();
    assertThat(again.resolve("README.md")).hasContent("# Ours\n");
  }

  @Test
  void pythonConvertsOrItsReasonIsPassedOn() throws IOException {
    Path file = folder.resolve("new/model.onnx");
    Path good = script("cat >/dev/null; echo converted >\"$5\"; echo 'note: needs care'");
    assertThat(convert(good, file)).containsExactly(file + " needs care");
    assertThat(file).hasContent("converted");
    assertThatThrownBy(() -> convert(good, file))
        .hasMessageContainingAll(file.toString(), "exists");
    Path other = folder.resolve("other.onnx");
    Path bad = script("cat >/dev/null; echo half >\"$5\"; echo 'failed: no op Fancy'");
    assertThatThrownBy(() -> convert(bad, other))
        .hasMessageContainingAll("cannot be converted to ONNX", "no op Fancy");
    assertThatThrownBy(() -> convert(script("exit 3"), other))
        .hasMessageContaining("wrote no file");
    assertThatThrownBy(() -> convert(folder.resolve("nowhere"), other))
        .hasMessageContainingAll("nowhere", "cannot be started");
    assertThatThrownBy(() -> convert(null, other))
        .hasMessageContainingAll("tf2onnx", "docs/serving.md");
    assertThat(other).doesNotExist();
  }

  private Path script(String body) throws IOException {
    Path script = Files.createTempFile(folder, "python", "");
    Files.writeString(script, "#!/bin/sh\n" + body + "\n");
    return Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
  }

  private List<String> convert(Path python, Path file) {
    var converter = new PythonConverter(python, Format.ONNX, "serving_default", false, file, false);
    return Exporter.to(folder.resolve("unused")).convert(MASKED, "best", converter);
  }
}
