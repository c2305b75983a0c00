package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SequenceSource;
import dev.performer.savedmodel.CardTokenizer;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;

/** SavedModels that Python made, trained on real proteins. */
class ImportedFineTuningTest {
  /** Of a model that knows no more than how frequent each amino acid is. */
  private static final double UNIGRAM_PERPLEXITY = 18.38;

  @TempDir Path temporary;

  @ParameterizedTest
  @CsvSource({"protein_exp, saved_model, false", "protein_relu_causal, saved_model, true"})
  void aPythonModelLearnsProteins(String name, String form, boolean causal) {
    Path directory = ReferenceModels.directory("models/" + name).resolve(form);
    FineTuneOptions.Data data =
        new FineTuneOptions.Data(
            ProteinVocabulary.padFirst(),
            SequenceSource.fasta(Path.of("training/data/family_train.fasta.gz")),
            SequenceSource.fasta(Path.of("training/data/family_test.fasta.gz")));
    FineTuneOptions config =
        new FineTuneOptions(
            causal
                ? new Objective.CausalLanguageModel(false)
                : new Objective.MaskedLanguageModel(Masking.BERT),
            // The models' position tables have 128 rows.
            Batching.training(128, 2048),
            FineTuneOptions.LOOP.toBuilder()
                .schedule(new Schedule.Linear(3e-3, 5, 0))
                .steps(50)
                .evaluateEvery(0)
                .checkpointEvery(0)
                .build());
    try (ImportedModel imported = ImportedModel.load(directory, "serving_default");
        Trainer tuner =
            config.start(
                ImportedLanguageModel.of(imported, "serving_default"),
                data,
                temporary.resolve("run"),
                Progress.silent())) {
      TrainingResult result = tuner.run();
      // Python trained it on nothing: before, it is no better than chance among 26 tokens.
      assertThat(result.before().perplexity()).isGreaterThan(22);
      assertThat(result.after().perplexity()).isLessThan(UNIGRAM_PERPLEXITY * 1.03);
      assertThat(result.after().perplexity()).isLessThan(0.8 * result.before().perplexity());
      assertThat(result.unusedVariables()).allMatch(v -> v.contains("class_head"));
    }
  }

  @Test
  void theExportedModelIsTheTrainedOne() {
    Path original = ReferenceModels.directory("models/protein_exp").resolve("saved_model");
    Path exported = temporary.resolve("exported");
    Objective objective = new Objective.MaskedLanguageModel(Masking.BERT);
    Batching batching = Batching.training(96, 2048);
    FineTuneOptions config =
        new FineTuneOptions(objective, batching, FineTuneOptions.LOOP.toBuilder().steps(8).build());
    FineTuneOptions.Data data =
        new FineTuneOptions.Data(
            ProteinVocabulary.padFirst(),
            SequenceSource.fasta(Path.of("training/data/family_train.fasta.gz")),
            SequenceSource.fasta(Path.of("training/data/family_test.fasta.gz")));
    ModelCard.LanguageModel names =
        new ModelCard.LanguageModel(
            "serving_default", "tokens", null, "lm_logits", ModelCards.objective(objective));
    TrainingResult result;
    try (ImportedModel imported = ImportedModel.load(original, "serving_default")) {
      LanguageModel model = ImportedLanguageModel.of(imported, names);
      try (Trainer tuner = config.start(model, data, temporary.resolve("run"), Progress.silent())) {
        result = tuner.run();
        WeightReplacement.of(original)
            .card(
                ModelCard.of(
                    null,
                    ModelCards.vocabulary("padded", data.tokenizer().vocabulary()),
                    names,
                    ModelCards.provenance(
                        "protein_exp",
                        data.train().name(),
                        config.loop().seed(),
                        result.bestStep(),
                        result.before(),
                        result.best())))
            .export(tuner.session(), model.variables(), exported);
      }
    }
    ModelCard card = ModelCard.read(exported).orElseThrow();
    assertThat(card.provenance().steps()).isEqualTo(8);
    assertThat(card.provenance().metricsAfter().get("loss")).isEqualTo(result.after().loss());
    assertThat(CardTokenizer.of(card.vocabulary()).vocabulary())
        .isEqualTo(data.tokenizer().vocabulary());
    try (ImportedModel imported = ImportedModel.load(exported, "serving_default")) {
      Evaluation again =
          ImportedLanguageModel.of(imported, card.languageModel())
              .evaluate(
                  ModelCards.objective(card.languageModel(), Masking.BERT),
                  ExampleBatches.of(
                      data.validation(), data.tokenizer(), batching.forEvaluation(), 0),
                  TokenBatchSource.EVALUATION_SEED);
      assertThat(again.guesses()).isEqualTo(result.after().guesses());
      assertThat(again.loss()).isCloseTo(result.after().loss(), within(1e-6));
      assertThat(again.loss()).isLessThan(result.before().loss() - 0.1);
    }
  }

  @Test
  void aLengthBeyondTheModelIsOneLine() {
    Path directory = ReferenceModels.directory("models/protein_exp").resolve("saved_model");
    try (ImportedModel imported = ImportedModel.load(directory, "serving_default");
        Trainer tuner =
            new FineTuneOptions(
                    FineTuneOptions.DEFAULT.objective(),
                    Batching.training(512, 2048),
                    FineTuneOptions.LOOP)
                .start(
                    ImportedLanguageModel.of(imported, "serving_default"),
                    new FineTuneOptions.Data(
                        ProteinVocabulary.padFirst(),
                        SequenceSource.fasta(Path.of("training/data/family_train.fasta.gz")),
                        SequenceSource.fasta(Path.of("training/data/family_test.fasta.gz"))),
                    temporary.resolve("run"),
                    Progress.silent())) {
      assertThatThrownBy(tuner::run)
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("a smaller length")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void aModelWithoutLogitsIsRefusedWithWhatItHas() {
    Path directory = ReferenceModels.directory("models/gr_relu_bidir").resolve("saved_model");
    try (ImportedModel imported = ImportedModel.load(directory)) {
      String signature = imported.signatures().keySet().iterator().next();
      assertThatThrownBy(() -> ImportedLanguageModel.of(imported, signature))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("input for tokens")
          .hasMessageContaining("it has");
    }
  }

  @Test
  void ofSeveralMasksTheTokensOwnIsTaken() {
    Map<String, TensorSpec> inputs = new TreeMap<>();
    for (String name : List.of("attention_mask", "decoder_attention_mask", "decoder_input_ids")) {
      inputs.put(name, new TensorSpec(name, name + ":0", DataType.DT_INT32, Shape.of(-1, -1)));
    }
    SignatureSpec spec = new SignatureSpec("serving_default", "", inputs, Map.of());
    assertThat(ImportedLanguageModel.mask(spec, "decoder_input_ids"))
        .isEqualTo("decoder_attention_mask");
    assertThat(ImportedLanguageModel.mask(spec, null)).isEqualTo("attention_mask");
  }
}
