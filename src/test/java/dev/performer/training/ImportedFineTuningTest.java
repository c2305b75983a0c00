package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SequenceSource;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ReferenceModels;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** SavedModels that Python made, trained on real proteins. */
class ImportedFineTuningTest {
  /** Of a model that knows no more than how frequent each amino acid is. */
  private static final double UNIGRAM_PERPLEXITY = 18.38;

  @TempDir Path temporary;

  @ParameterizedTest
  @CsvSource({"protein_exp, saved_model, false", "protein_relu_causal, saved_model, true"})
  void aPythonModelLearnsProteins(String name, String form, boolean causal) {
    Path directory = ReferenceModels.directory("models/" + name).resolve(form);
    TrainingData data =
        new TrainingData(
            ProteinVocabulary.padFirst(),
            SequenceSource.fasta(Path.of("training/data/family_train.fasta.gz")),
            SequenceSource.fasta(Path.of("training/data/family_test.fasta.gz")));
    TrainingConfig config =
        TrainingConfig.builder()
            .objective(
                causal
                    ? new Objective.CausalLanguageModel(false)
                    : new Objective.MaskedLanguageModel(Masking.BERT))
            // The models' position tables have 128 rows.
            .batching(Batching.training(128, 2048))
            .schedule(new LearningRateSchedule.Linear(3e-3, 5, 0))
            .steps(50)
            .evaluateEvery(0)
            .checkpointEvery(0)
            .build();
    try (ImportedModel imported = ImportedModel.load(directory, "serving_default");
        FineTuner tuner =
            FineTuner.start(
                ImportedLanguageModel.of(imported, "serving_default"),
                data,
                config,
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
  void aLengthBeyondTheModelIsOneLine() {
    Path directory = ReferenceModels.directory("models/protein_exp").resolve("saved_model");
    try (ImportedModel imported = ImportedModel.load(directory, "serving_default");
        FineTuner tuner =
            FineTuner.start(
                ImportedLanguageModel.of(imported, "serving_default"),
                new TrainingData(
                    ProteinVocabulary.padFirst(),
                    SequenceSource.fasta(Path.of("training/data/family_train.fasta.gz")),
                    SequenceSource.fasta(Path.of("training/data/family_test.fasta.gz"))),
                TrainingConfig.builder().batching(Batching.training(512, 2048)).build(),
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
}
