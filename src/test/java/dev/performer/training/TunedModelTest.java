package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.NpyArray;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SequenceSource;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.Lora;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Progress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;

/** Parts of an imported model are trained, as Python's steps of make_tuned.py have it. */
class TunedModelTest {
  private static final Map<String, NpyArray> PYTHON =
      ReferenceModels.arrays("made/tuned", "expected.npz");

  private static final FineTuneOptions.Data DATA =
      new FineTuneOptions.Data(
          ProteinVocabulary.google(),
          SequenceSource.fasta(Path.of("training/data/family_train.fasta.gz")),
          SequenceSource.fasta(Path.of("training/data/family_test.fasta.gz")));

  @TempDir Path temporary;

  private static Path model() {
    return ReferenceModels.directory("made/tuned").resolve("saved_model");
  }

  private static LabelledBatch batch() {
    NpyArray tokens = PYTHON.get("tokens");
    int rows = (int) tokens.shape()[0];
    int[] ones = new int[tokens.size()];
    Arrays.fill(ones, 1);
    float[] weights = new float[ones.length];
    Arrays.fill(weights, 1);
    int[] targets = PYTHON.get("targets").ints();
    return new LabelledBatch(rows, ones.length / rows, tokens.ints(), ones, targets, weights);
  }

  private static LoopOptions.Builder groups() {
    Map<String, Double> rates = new LinkedHashMap<>();
    rates.put("head/*", 10.0);
    rates.put("**/bias", 0.1);
    return FineTuneOptions.LOOP.toBuilder()
        .clipNorm(0)
        .freeze("embeddings/*", "layer_[0-3]/**/key/kernel")
        .learningRates(rates);
  }

  @ParameterizedTest
  @CsvSource({"sgd", "adamw"})
  void groupsFollowPython(String name) {
    Optimizer optimizer =
        name.equals("sgd")
            ? new Optimizer.Sgd(0.9, false, 0.1, false)
            : new Optimizer.AdamW(0.9, 0.98, 1e-9, 0.1, false);
    LoopOptions options = groups().optimizer(optimizer).build();
    try (ImportedModel imported = ImportedModel.load(model())) {
      Trainable trainable =
          Trainable.of(ImportedLanguageModel.of(imported, ImportedModel.DEFAULT_SIGNATURE));
      TrainerStep step = TrainerStep.of(trainable, options);
      assertThat(step.optimizer().slots())
          .hasSize(1 + (name.equals("sgd") ? 1 : 2) * 9)
          .noneMatch(slot -> slot.name().contains("embeddings") || slot.name().contains("/key/"));
      try (Session session = new Session(imported.graph(), false)) {
        imported.restore(session);
        step.optimizer().initializer().accept(session);
        for (int t = 0; t < 3; t++) {
          double loss = step.run(session, List.of(batch()), t, 0.05).loss();
          double expected = PYTHON.get(name + "/loss/" + (t + 1)).doubles()[0];
          assertThat(loss).isCloseTo(expected, within(1e-5));
        }
        PerformerModels.values(session, imported.variables())
            .forEach(
                (variable, values) -> {
                  double[] expected = PYTHON.get(name + "/" + variable).doubles();
                  assertThat(values.doubles()).as(variable).containsExactly(expected, within(2e-5));
                });
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void whatIsFrozenStaysToTheBitAndARunGoesOnToTheBit(int accumulate) {
    LoopOptions options = groups().accumulate(accumulate).steps(6).checkpointEvery(3).build();
    train(options, temporary.resolve("whole"), false, 0);
    train(options, temporary.resolve("halves"), false, 4);
    train(options, temporary.resolve("halves"), true, 0);
    Map<String, byte[]> whole = variables(temporary.resolve("whole/checkpoints/step-6"));
    Map<String, byte[]> again = variables(temporary.resolve("halves/checkpoints/step-6"));
    assertThat(again.keySet()).isEqualTo(whole.keySet());
    whole.forEach((key, bytes) -> assertThat(again.get(key)).as(key).isEqualTo(bytes));
    Map<String, byte[]> first = variables(temporary.resolve("whole/checkpoints/step-3"));
    Map<String, byte[]> original = variables(model());
    for (String name : List.of("word", "position", "key")) {
      String key = name + "/.ATTRIBUTES/VARIABLE_VALUE";
      assertThat(whole.get(key)).as(key).isEqualTo(original.get(key)).isNotNull();
    }
    String trained = "query/.ATTRIBUTES/VARIABLE_VALUE";
    assertThat(first.get(trained)).isNotEqualTo(original.get(trained));
  }

  @Test
  void aRunGoesOnWithTheSameFrozen() {
    Path run = temporary.resolve("run");
    train(groups().steps(2).build(), run, false, 0);
    LoopOptions other = groups().freeze("embeddings/*").steps(3).build();
    assertThatThrownBy(() -> train(other, run, true, 0))
        .hasMessageContaining("training.freeze was [\"embeddings/*\",")
        .hasMessageContaining("resume with the same");
    LoopOptions rates = groups().learningRates(Map.of("head/**", 3.0)).steps(3).build();
    train(rates, run, true, 0); // as other learning rates
  }

  @Test
  void aPatternThatMatchesNothingNamesNearVariables() {
    Path run = temporary.resolve("run");
    assertThatThrownBy(() -> train(groups().freeze("layer0/**").build(), run, false, 0))
        .hasMessageContaining("freeze: no variable matches 'layer0/**'; did you mean layer_0/");
    assertThatThrownBy(() -> train(groups().freeze("embedings/*").build(), run, false, 0))
        .hasMessageContaining("did you mean embeddings/");
    assertThatThrownBy(() -> train(groups().trainOnly("**/kernal").build(), run, false, 0))
        .hasMessageContaining("trainOnly: no variable matches")
        .hasMessageContaining("/kernel");
    LoopOptions slow = groups().learningRates(Map.of("embeddings/*", 2.0)).build();
    assertThatThrownBy(() -> train(slow, run, false, 0))
        .hasMessage("learningRates: 'embeddings/*' matches only variables that are not trained");
    assertThatThrownBy(() -> train(groups().freeze("**").build(), run, false, 0))
        .hasMessage("freeze and trainOnly leave no variable to train");
    assertThat(run).doesNotExist();
    assertThatThrownBy(() -> groups().freeze("a[").build())
        .hasMessageContaining("freeze: 'a[' is no pattern of names");
    assertThatThrownBy(() -> LoopOptions.of("freez=[a]")).hasMessageContaining("freeze");
    assertThatThrownBy(() -> LoopOptions.of("learningRates={a: 0}"))
        .hasMessageContaining("learningRates must be factors above 0");
  }

  private static final List<String> ADAPTED =
      List.of(
          "layer_0/attention/query/kernel",
          "layer_0/attention/output/kernel",
          "layer_0/mlp/kernel",
          "head/kernel");

  private static LoopOptions.Builder lora(String... targets) {
    var lora = new Lora(2, 6.0, List.of(targets));
    var sgd = new Optimizer.Sgd(0, false, 0.5, false); // weight decay would show in the weights
    return FineTuneOptions.LOOP.toBuilder().clipNorm(0).optimizer(sgd).lora(lora);
  }

  /** Python's factors are the ones to begin with; decay of factors is turned off as it has none. */
  @Test
  void lowRankFactorsFollowPython() {
    LoopOptions options =
        lora("**/{query,output}/kernel", "**/mlp/kernel", "head/kernel")
            .optimizer(new Optimizer.Sgd(0, false, 0, false))
            .build();
    var directory = SavedModelDirectory.open(model());
    var serving = List.of(ImportedModel.DEFAULT_SIGNATURE);
    try (ImportedModel imported = ImportedModel.load(directory, serving, options.adaptation())) {
      assertThat(imported.trainability().trainable()).hasSize(8).allMatch(Lora::isFactor);
      var language = ImportedLanguageModel.of(imported, ImportedModel.DEFAULT_SIGNATURE);
      TrainerStep step = TrainerStep.of(Trainable.of(language), options);
      assertThat(step.optimizer().slots()).hasSize(1); // the step
      try (Session session = new Session(imported.graph(), false)) {
        imported.restore(session);
        step.optimizer().initializer().accept(session);
        var before = PerformerModels.values(session, imported.variables());
        Map<String, NpyArray> start = new LinkedHashMap<>();
        for (String name : ADAPTED) {
          start.put(name + "/lora_a", PYTHON.get("lora/start/" + name));
          assertThat(before.get(name + "/lora_b").doubles()).containsOnly(0);
        }
        var first = imported.variables().stream().filter(v -> v.name().endsWith("_a")).toList();
        Ops tf = Ops.create(imported.graph());
        PerformerModels.assign(tf.withSubScope("python"), session, first, start);
        for (int t = 0; t < 3; t++) {
          double loss = step.run(session, List.of(batch()), t, 0.05).loss();
          double expected = PYTHON.get("lora/loss/" + (t + 1)).doubles()[0];
          assertThat(loss).isCloseTo(expected, within(1e-5));
        }
        var after = PerformerModels.values(session, imported.variables());
        for (String name : ADAPTED) {
          for (String factor : List.of("a", "b")) {
            double[] expected = PYTHON.get("lora/" + factor + "/" + name).doubles();
            assertThat(after.get(name + "/lora_" + factor).doubles())
                .as(name)
                .containsExactly(expected, within(1e-5));
          }
        }
        after.forEach(
            (name, values) -> {
              boolean isFactor = name.contains("/lora_");
              assertThat(isFactor || values.equals(before.get(name))).as(name).isTrue();
            });
        compareMerged(imported, language, session);
      }
    }
  }

  private void compareMerged(ImportedModel imported, LanguageModel language, Session session) {
    double[] expected = PYTHON.get("lora/logits").doubles();
    assertThat(logits(language, session)).containsExactly(expected, within(1e-5));
    imported.merge(session);
    assertThat(logits(language, session)).containsExactly(expected, within(1e-5));
    assertThat(imported.variables()).noneMatch(Lora::isFactor).hasSize(12);
    assertThat(imported.variables()).allMatch(Variable::trainable); // as in the original
    Path exported = temporary.resolve("merged");
    WeightReplacement.of(model()).export(session, imported.variables(), exported);
    Map<String, byte[]> now = variables(exported);
    variables(model())
        .forEach(
            (key, bytes) -> {
              boolean isSame = Arrays.equals(bytes, now.get(key));
              assertThat(isSame).as(key).isNotEqualTo(key.matches("(query|output|wide|head)/.*"));
            });
    try (ImportedModel again = ImportedModel.load(exported);
        Session other = new Session(again.graph(), false)) {
      again.restore(other);
      var reloaded = ImportedLanguageModel.of(again, ImportedModel.DEFAULT_SIGNATURE);
      assertThat(logits(reloaded, other)).containsExactly(expected, within(1e-5));
    }
  }

  private static double[] logits(LanguageModel language, Session session) {
    LabelledBatch batch = batch();
    try (Feed feed = Feed.of(language, batch.inputs(), batch.mask(), batch.rows(), batch.length());
        var result = feed.run(session, List.of(language.logits()))) {
      float[] values = Tensors.floats(result.get(0));
      double[] wide = new double[values.length];
      Arrays.setAll(wide, i -> values[i]);
      return wide;
    }
  }

  /** A table that is looked up and multiplied with is one weight, its factors in both places. */
  @Test
  void aTableIsAdaptedWhereItIsNamed() {
    var directory = SavedModelDirectory.open(model());
    var how = lora("embeddings/word").build().adaptation();
    try (ImportedModel imported = ImportedModel.load(directory, List.of("tied"), how);
        Session session = new Session(imported.graph(), false)) {
      var language = ImportedLanguageModel.of(imported, "tied");
      TrainerStep step = TrainerStep.of(Trainable.of(language), lora("embeddings/word").build());
      imported.restore(session);
      step.optimizer().initializer().accept(session);
      double[] before = logits(language, session);
      step.run(session, List.of(batch()), 0, 1);
      double[] adapted = logits(language, session);
      assertThat(adapted).isNotEqualTo(before);
      imported.merge(session);
      assertThat(logits(language, session)).containsExactly(adapted, within(1e-6));
      Path exported = temporary.resolve("tied");
      WeightReplacement.of(model()).export(session, imported.variables(), exported);
      try (ImportedModel again = ImportedModel.load(exported, "tied");
          Session other = new Session(again.graph(), false)) {
        again.restore(other);
        var reloaded = ImportedLanguageModel.of(again, "tied");
        assertThat(logits(reloaded, other)).containsExactly(adapted, within(1e-5));
      }
    }
    var usual = new Lora.Adaptation(new Lora(2, null, null), List.of("**/gamma"), 1);
    try (ImportedModel imported =
        ImportedModel.load(directory, List.of("tied"), Optional.of(usual))) {
      var names = imported.variables().stream().filter(Variable::trainable).map(Variable::name);
      assertThat(names)
          .contains("layer_0/attention/key/kernel/lora_b", "layer_0/norm/gamma")
          .hasSize(2 * 6 + 1)
          .noneMatch(name -> name.startsWith("embeddings"));
    }
  }

  @Test
  void anAdaptedRunGoesOnToTheBit() {
    LoopOptions options = lora().steps(6).checkpointEvery(3).trainOnly("head/bias").build();
    train(options, temporary.resolve("whole"), false, 0);
    train(options, temporary.resolve("halves"), false, 4);
    train(options, temporary.resolve("halves"), true, 0);
    Map<String, byte[]> whole = variables(temporary.resolve("whole/checkpoints/step-6"));
    Map<String, byte[]> again = variables(temporary.resolve("halves/checkpoints/step-6"));
    assertThat(again.keySet()).isEqualTo(whole.keySet());
    whole.forEach((key, bytes) -> assertThat(again.get(key)).as(key).isEqualTo(bytes));
    variables(model())
        .forEach(
            (key, bytes) ->
                assertThat(Arrays.equals(bytes, whole.get(key)))
                    .as(key)
                    .isNotEqualTo(key.startsWith("head_bias/")));
    var other = lora().lora(new Lora(3, 6.0, List.of())).steps(7).build();
    assertThatThrownBy(() -> train(other, temporary.resolve("whole"), true, 0))
        .hasMessageContaining("training.lora.rank was 2 and is now 3");
  }

  @Test
  void whatCannotBeAdaptedIsOneLine() {
    Path run = temporary.resolve("run");
    assertThatThrownBy(() -> train(lora("layer_0/norm/*").build(), run, false, 0))
        .hasMessageContaining(
            "lora.targets: 'layer_0/norm/*' matches no weight of a matrix product")
        .hasMessageContaining("head/kernel");
    assertThatThrownBy(() -> train(lora("layer_1/**").build(), run, false, 0))
        .hasMessageContaining("lora.targets: no variable matches 'layer_1/**'");
    assertThatThrownBy(() -> new Lora(0, null, null)).hasMessageContaining("lora.rank");
    assertThatThrownBy(() -> LoopOptions.of("lora={ranks: 3}")).hasMessageContaining("rank");
  }

  /** Dropout of the trained signature, or of the flag in training, is not in evaluation. */
  @ParameterizedTest
  @CsvSource({"train, serving_default, input_ids", "switch, switch, tokens"})
  void evaluationIsOfItsOwnSignature(String trained, String evaluated, String tokens) {
    Path run = temporary.resolve("run");
    LoopOptions loop = FineTuneOptions.LOOP.toBuilder().steps(4).evaluateEvery(2).seed(3).build();
    var tuning =
        new FineTuneOptions(
            new Objective.CausalLanguageModel(false), Batching.training(12, 256), loop);
    var names = List.of(trained, evaluated);
    var directory = SavedModelDirectory.open(model());
    try (ImportedModel imported = ImportedModel.load(directory, names)) {
      assertThat(imported.variables()).hasSize(12);
      assertThat(imported.signatures().get(trained).inputs()).containsOnlyKeys(tokens);
      String output = trained.equals("train") ? "lm_logits" : "logits";
      assertThat(imported.trainability(trained, output).isTrainable()).isTrue();
      var noisy = ImportedLanguageModel.of(imported, trained);
      var still = ImportedLanguageModel.of(imported, imported.inference(evaluated));
      try (Trainer trainer =
          tuning.open(
              Trainable.of(noisy, still), noisy, still, DATA, run, false, Progress.silent())) {
        double[] once = logits(still, trainer.session());
        assertThat(logits(still, trainer.session())).isEqualTo(once);
        assertThat(logits(noisy, trainer.session())).isNotEqualTo(logits(noisy, trainer.session()));
        try (ImportedModel serving = ImportedModel.load(model())) {
          var batches =
              ExampleBatches.of(
                  DATA.validation(), DATA.tokenizer(), tuning.batching().forEvaluation(), 0);
          var expected =
              ImportedLanguageModel.of(serving, ImportedModel.DEFAULT_SIGNATURE)
                  .evaluate(tuning.objective(), batches, TokenBatchSource.EVALUATION_SEED);
          double loss = trainer.run().before().loss();
          assertThat(loss).isCloseTo(expected.loss(), within(1e-6));
        }
      }
    }
  }

  private void train(LoopOptions options, Path run, boolean resume, long pauseAt) {
    var tuning =
        new FineTuneOptions(
            new Objective.CausalLanguageModel(false),
            Batching.training(12, 256),
            options.toBuilder().schedule(new Schedule.Constant(1e-2, 0)).logEvery(1).build());
    var directory = SavedModelDirectory.open(model());
    var serving = List.of(ImportedModel.DEFAULT_SIGNATURE);
    try (ImportedModel imported = ImportedModel.load(directory, serving, options.adaptation())) {
      var language = ImportedLanguageModel.of(imported, ImportedModel.DEFAULT_SIGNATURE);
      try (Trainer trainer =
          resume
              ? tuning.resume(language, DATA, run, Progress.silent())
              : tuning.start(language, DATA, run, Progress.silent())) {
        trainer.run(pauseAt);
      }
    }
  }

  private static Map<String, byte[]> variables(Path folder) {
    Path own = folder.resolve("variables");
    Path prefix = Files.isDirectory(own) ? own.resolve("variables") : own;
    Map<String, byte[]> values = new TreeMap<>();
    try (CheckpointReader reader = CheckpointReader.open(prefix)) {
      for (String key : reader.entries().keySet()) {
        if (!key.equals(CheckpointReader.OBJECT_GRAPH_KEY)) {
          try (Tensor tensor = reader.tensor(key)) {
            values.put(key, Tensors.bytes(tensor));
          }
        }
      }
    }
    return values;
  }
}
