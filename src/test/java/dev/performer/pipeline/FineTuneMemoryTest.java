package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.SequenceSource;
import dev.performer.data.Tokenizer;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.training.LoopOptions;
import dev.performer.training.Memory;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Fine-tuning in forms that keep less, against the plain one. */
class FineTuneMemoryTest {
  private static final Tokenizer LETTERS = Tokenizer.named("google-protein");
  private static final List<String> TEXTS =
      IntStream.range(0, 40)
          .mapToObj(i -> "MKTAYIAKQR".substring(i % 4).repeat(1 + i % 5))
          .toList();
  private static final SequenceSource SOURCE = SequenceSource.texts("texts", TEXTS);

  /** Plain gradient descent: what weights become shows gradients, not their signs. */
  private static final LoopOptions LOOP =
      LoopOptions.of(
          "steps=3",
          "optimizer=sgd",
          "schedule=constant",
          "learningRate=1",
          "warmupSteps=0",
          "clipNorm=0.5",
          "evaluateEvery=0",
          "checkpointEvery=0",
          "diagnosticsEvery=0");

  @TempDir Path folder;

  private Model trained(String... settings) {
    PerformerConfig config =
        PerformerConfig.preset("performer")
            .with("task=causal-lm", "vocabularySize=" + LETTERS.size(), "layers=3", "heads=2")
            .with("hiddenSize=16", "maxLength=64")
            .with(settings);
    Path run = folder.resolve("trained");
    var loop = LoopOptions.of("steps=2", "evaluateEvery=0", "checkpointEvery=0");
    var batching = SequenceBatching.DEFAULT.withLength(32).withSize(new BatchSize.Sequences(4));
    var training = SequenceTraining.of(config, LETTERS, SOURCE).withBatching(batching);
    TrainJob.of(training.withLoop(loop), run).run(Progress.silent());
    return Model.open(run);
  }

  private record Tuned(double before, double after, Map<String, float[]> weights) {}

  private Tuned tuned(Model model, String run, LoopOptions loop) {
    var batching = SequenceBatching.DEFAULT.withLength(48).withSize(new BatchSize.Sequences(6));
    return tuned(
        FineTuneJob.of(model, SOURCE, folder.resolve(run)).validation(SOURCE).batching(batching),
        loop);
  }

  private static Tuned tuned(FineTuneJob job, LoopOptions loop) {
    Job.Outcome outcome = job.options(loop).run(Progress.silent());
    assertThat(outcome.maxOutputDifference()).isLessThan(1e-5);
    Map<String, float[]> weights = new LinkedHashMap<>();
    var directory = SavedModelDirectory.open(outcome.model().orElseThrow());
    try (CheckpointReader reader = CheckpointReader.open(directory.variablesPrefix())) {
      for (var variable : directory.variables()) {
        try (var tensor = reader.tensor(variable.checkpointKey())) {
          weights.put(variable.name(), Tensors.floats(tensor));
        }
      }
    }
    var result = outcome.result();
    return new Tuned(result.before().loss(), result.after().loss(), weights);
  }

  private static void requireAlike(Tuned found, Tuned plain) {
    assertThat(plain.after()).isNotCloseTo(plain.before(), within(1e-3));
    assertThat(found.before()).isCloseTo(plain.before(), within(1e-5));
    assertThat(found.after()).isCloseTo(plain.after(), within(2e-5));
    assertThat(found.weights().keySet()).isEqualTo(plain.weights().keySet());
    plain
        .weights()
        .forEach(
            (name, expected) ->
                assertThat(found.weights().get(name))
                    .as(name)
                    .usingComparatorWithPrecision(2e-5f)
                    .containsExactly(expected));
  }

  @Tag("slow")
  @Test
  void segmentsOfAnExportOfOurs() {
    Model model =
        trained(
            "attention={kernel: softmax, features: 8, causal: true}",
            "positions=rotary",
            "rotaryScaling={kind: ntk, factor: 2}");
    Tuned segments = tuned(model, "segments", LOOP.toBuilder().segments(7).build());
    requireAlike(segments, tuned(model, "plain", LOOP));
    // An export's export is one, too, and so is a run that changed its form.
    Model again = Model.open(folder.resolve("segments"));
    LoopOptions longer = LOOP.toBuilder().segments(20).build();
    requireAlike(tuned(again, "again", longer), tuned(again, "again-plain", LOOP));
  }

  @Test
  void recomputedLayersOfAnExportOfOurs() {
    Model model =
        trained("attention={kernel: relu, causal: true}", "shiftBos=1", "tiedOutput=true");
    LoopOptions summed = LOOP.toBuilder().memory(Memory.RECOMPUTE).build();
    requireAlike(tuned(model, "recompute", summed), tuned(model, "plain", LOOP));
    LoopOptions pieces = summed.toBuilder().accumulate(2).steps(1).build();
    LoopOptions whole = pieces.toBuilder().memory(Memory.PLAIN).build();
    requireAlike(tuned(model, "pieces", pieces), tuned(model, "whole", whole));
  }

  private static Model python(String name, String form, String tokenizer) {
    var options = ModelOptions.DEFAULT.withTokenizer(Tokenizer.named(tokenizer));
    return Model.open(
        ReferenceModels.directory(name).resolve(form),
        options.withObjective(ModelCard.Objective.CAUSAL_LM));
  }

  @Tag("slow")
  @ParameterizedTest
  @ValueSource(strings = {"", "lora={rank: 2}"})
  void ofAGraphOfPythons(String more) {
    Model model = python("models/protein_relu_causal", "saved_model", "pad-first-protein");
    LoopOptions plain = LOOP.with("learningRate=0.1", more.isEmpty() ? "seed=1" : more);
    LoopOptions recomputed = plain.toBuilder().memory(Memory.RECOMPUTE).build();
    requireAlike(tuned(model, "recompute", recomputed), tuned(model, "plain", plain));
  }

  @Tag("slow")
  @ParameterizedTest
  @CsvSource({"true", "false"})
  void ofLabels(boolean isOfNewLayer) throws IOException {
    Path table = folder.resolve("rows.csv");
    StringBuilder rows = new StringBuilder("sequence,family\n");
    IntStream.range(0, 24)
        .forEach(i -> rows.append(TEXTS.get(i) + "," + "abcde".charAt(i % 5) + "\n"));
    Files.writeString(table, rows);
    Model model = python("models/protein_exp", "saved_model", "pad-first-protein");
    FineTuneTask task = FineTuneTask.of(Kind.CLASSIFICATION).withColumns("sequence", "family");
    FineTuneTask whole =
        isOfNewLayer ? task.withOutput("lm_logits") : task.withOwnOutput("class_logits", false);
    Map<Memory, Tuned> tuned = new TreeMap<>();
    for (Memory memory : List.of(Memory.PLAIN, Memory.RECOMPUTE)) {
      var job = FineTuneJob.of(model, whole, table, folder.resolve(memory.label()));
      var loop = LOOP.toBuilder().memory(memory).learningRate(0.1).build();
      tuned.put(memory, tuned(job.validation(table), loop));
    }
    requireAlike(tuned.get(Memory.RECOMPUTE), tuned.get(Memory.PLAIN));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{memory: segments} | segments need a model that says how it is built",
        "{memory: segments, batchSequences: 2, truncate: true} | truncate needs streams",
      })
  void whatCannotBeIsRefusedBeforeARunBegins(String settings, String message) {
    Model model = python("models/protein_relu_causal", "saved_model", "pad-first-protein");
    var loop = LOOP.with(dev.performer.data.StrictJson.readYaml(settings, "settings"), "settings");
    assertThatThrownBy(() -> tuned(model, "run", loop))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void segmentsNeedLinearAttention() {
    Model model = trained("attention={exact: true, causal: true}");
    LoopOptions loop = LOOP.toBuilder().segments(8).build();
    assertThatThrownBy(() -> tuned(model, "run", loop))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("layer 0 attends in another way");
  }
}
