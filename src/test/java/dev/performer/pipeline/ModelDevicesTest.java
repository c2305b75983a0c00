package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import dev.performer.graph.DeviceCheck;
import dev.performer.graph.OpKernels;
import dev.performer.graph.RegisteredKernels.Support;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.SampleInputs;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.ServingForm;
import dev.performer.savedmodel.SignatureCheck;
import dev.performer.serving.CausalModels;
import dev.performer.training.LoopOptions;
import dev.performer.training.StepCheck;
import dev.performer.training.Trainable;
import dev.performer.training.optim.Optimizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;

/**
 * Inference, training steps, generation and redraws of all kinds of models have kernels for GPUs
 * and for XLA, which compiles them with fixed sizes.
 */
class ModelDevicesTest {
  private static final String CAUSAL =
      "{task: causal-lm, vocabularySize: 31, hiddenSize: 8, heads: 2, layers: 1, mlpSize: 8,"
          + " maxLength: 24, positions: %s, attention: %s}";
  private static final String BODY =
      "vocabularySize: 31, hiddenSize: 8, heads: 2, layers: 1, mlpSize: 8, maxLength: 24";
  private static final ModelDevices.Options LISTED =
      new ModelDevices.Options(2, 8, false, LoopOptions.DEFAULT);

  @TempDir Path temporary;

  /** Every kind of model with another optimizer, each in float32 and bfloat16. */
  static Stream<Arguments> steps() {
    List<String> models =
        List.of(
            CAUSAL.formatted("rotary", "{kernel: softmax, features: 8, redrawEvery: 2}"),
            CAUSAL.formatted("learned", "{kernel: relu, exactHeads: 1}"),
            "{task: masked-lm, %s, attention: {kernel: hyperbolic, features: 8, redrawEvery: 2}}",
            "{task: classification, %s, classes: 3, attention: {kernel: favor++, features: 8}}",
            "{task: regression, %s, attention: {kernel: trigonometric, features: 8}}",
            "{task: sequence-to-sequence, %s, decoderLayers: 1, shiftBos: 2}",
            "{preset: kernel-encoder, task: masked-lm, %s,"
                + " attention: {modelGarden: {numRandomFeatures: 8}}}",
            CAUSAL.formatted("sinusoidal", "{exact: true}"),
            CAUSAL.formatted("learned", "{reformer: {buckets: 4, chunk: 4}}"),
            "{task: masked-lm, %s, attention: {linformer: {rank: 4}}}");
    List<String> optimizers = Optimizer.DEFAULTS.stream().map(Optimizer::label).toList();
    int count = Math.max(models.size(), optimizers.size());
    return IntStream.range(0, 2 * count)
        .mapToObj(
            i ->
                Arguments.of(
                    models.get(i % models.size()).formatted(BODY),
                    optimizers.get(i % optimizers.size()),
                    i < count ? "float32" : "bfloat16"));
  }

  @ParameterizedTest
  @MethodSource("steps")
  void trainingStepsHaveKernels(String model, String optimizer, String precision) {
    var loop =
        LoopOptions.of(
            "optimizer=" + optimizer, "precision=" + precision, "averageDecay=0.9", "zLoss=1e-4");
    try (Graph graph = new Graph()) {
      Trainable trainable = Trainable.of(graph, config(model), loop);
      DeviceCheck step = StepCheck.of("train", trainable, loop, null);
      requireKernels(step);
      assertThat(step.ops()).hasSizeGreaterThan(50);
      String product = "MatMul " + precision;
      assertThat(step.ops()).extracting(OpKernels::toString).contains(product);
      if (!trainable.redraws().isEmpty()) {
        requireKernels(StepCheck.redraws(trainable, false));
      }
    }
  }

  private static void requireKernels(DeviceCheck check) {
    assertThat(check.withoutGpu()).as(check.name()).isEmpty();
    // Between the two functions that are compiled.
    assertThat(check.withoutXla())
        .as(check.name())
        .allMatch(op -> op.toString().equals("CheckNumericsV2 float64"));
    assertThat(check.ops()).as(check.name()).noneMatch(op -> op.cpu() == Support.NONE);
  }

  private static PerformerConfig config(String yaml) {
    try {
      return PerformerConfig.of(new ObjectMapper(new YAMLFactory()).readTree(yaml), "test");
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "memory=recompute",
        "memory=segments segmentLength=4",
        "memory=segments segmentLength=4 truncate=true batchSequences=2"
      })
  void soHaveStepsThatKeepLess(String settings) {
    try (Graph graph = new Graph()) {
      LoopOptions loop = LoopOptions.of(settings.split(" "));
      String model = CAUSAL.formatted("rotary", "{kernel: hyperbolic, features: 8}");
      Trainable trainable = Trainable.of(graph, config(model), loop);
      requireKernels(StepCheck.of("train", trainable, loop, null));
    }
  }

  @Test
  void signaturesHaveKernelsInFloat32AndBfloat16() {
    Path model = temporary.resolve("lm");
    CausalModels.write(model, CAUSAL.formatted("rotary", "{kernel: hyperbolic, features: 8}"));
    Path narrow = temporary.resolve("narrow");
    var form = ServingForm.AS_IS.in(ServingForm.Precision.BFLOAT16);
    Exporter.to(narrow).in(form).export(model, "best");
    for (Path path : List.of(model, narrow)) {
      ModelDevices found = ModelDevices.of(Model.open(path), LISTED);
      assertThat(found.checks())
          .extracting(DeviceCheck::name)
          .contains("serving_default", "prefill", "decode_step", "extend", "generate", "score");
      found.checks().forEach(ModelDevicesTest::requireKernels);
    }
  }

  @Test
  @Tag("slow")
  void xlaCompilesEverySignatureAndStepWithFixedSizes() {
    Path model = temporary.resolve("lm");
    String attention = "{kernel: softmax, features: 8, redrawEvery: 2}";
    CausalModels.write(model, CAUSAL.formatted("rotary", attention));
    var loop = LoopOptions.of("precision=bfloat16");
    var options = new ModelDevices.Options(2, 8, true, loop);
    ModelDevices found = ModelDevices.of(Model.open(model), options);
    assertThat(found.notes()).isEmpty();
    assertThat(found.checks())
        .extracting(DeviceCheck::name)
        .contains("generate", "decode_step", "prefill", "extend", "fine-tune", "train", "redraw");
    for (DeviceCheck check : found.checks()) {
      assertThat(check.refusal()).as(check.name()).isNull();
      assertThat(check.openSizes()).as(check.name()).isEmpty();
      assertThat(check.isStatic()).as(check.name()).isTrue();
    }
  }

  @Test
  @Tag("slow")
  void exportsOfFixedSizesCompile() {
    Path model = temporary.resolve("lm");
    CausalModels.write(model, CAUSAL.formatted("learned", "{kernel: relu}"));
    Path fixed = temporary.resolve("fixed");
    var form = ServingForm.AS_IS.sized(3L, 6L);
    Exporter.to(fixed).in(form).export(model, "best");
    SavedModelDirectory exported = SavedModelDirectory.open(fixed);
    SampleInputs samples = SampleInputs.of(exported);
    assertThat(samples.failures()).isEmpty();
    for (String name : List.of("serving_default", "extend")) {
      var inputs = samples.samples().get(name);
      assertThat(SignatureCheck.of(exported, exported.signature(name), inputs))
          .matches(DeviceCheck::isStatic);
    }
  }
}
