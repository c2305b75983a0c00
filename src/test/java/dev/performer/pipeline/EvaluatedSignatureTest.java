package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.data.SequenceSource;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.Lora;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.training.LoopOptions;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is trained with dropout is evaluated, exported and compared without. */
class EvaluatedSignatureTest {
  private static final LoopOptions LOOP =
      LoopOptions.of("steps=4", "learningRate=1e-2", "warmupSteps=0", "evaluateEvery=0");

  @TempDir Path folder;

  private static Model model(String signature) {
    Path saved = ReferenceModels.directory("made/tuned").resolve("saved_model");
    return Model.open(
        saved,
        ModelOptions.DEFAULT
            .withSignature(signature)
            .withTokenizer(Tokenizer.named("google-protein"))
            .withObjective(ModelCard.Objective.CAUSAL_LM));
  }

  @ParameterizedTest
  @CsvSource({"train, serving_default", "switch, switch"})
  void aLanguageModel(String trained, String evaluated) {
    var source = SequenceSource.file(Path.of("training/data/family_test.fasta.gz"));
    var outcome =
        FineTuneJob.of(model(trained), source, folder.resolve("run"))
            .evaluatedBy(evaluated)
            .batching(SequenceBatching.DEFAULT.withLength(10))
            .options(LOOP.with("lora={rank: 2}"))
            .run(Progress.silent());
    assertThat(outcome.maxOutputDifference()).isLessThan(1e-5);
    Path exported = outcome.model().orElseThrow();
    assertThat(ModelCard.read(exported).orElseThrow().languageModel().signature())
        .isEqualTo(evaluated);
    var variables = SavedModelDirectory.open(exported).variables();
    assertThat(variables).hasSize(12).noneMatch(v -> v.name().contains("lora"));
  }

  @ParameterizedTest
  @CsvSource({"train, serving_default, true", "switch, switch, true", "switch, switch, false"})
  void aTaskWithALayer(String trained, String evaluated, boolean isAdapted) throws IOException {
    Path table = folder.resolve("rows.csv");
    Files.writeString(table, "sequence,label\nMKTAYIA,a\nGGGGSG,b\nMKTAYI,a\nGGSGGG,b\n");
    String output = trained.equals("train") ? "lm_logits" : "logits";
    var outcome =
        FineTuneJob.of(
                model(trained),
                FineTuneTask.of(Kind.CLASSIFICATION).withOutput(output),
                table,
                folder.resolve("run"))
            .validation(table)
            .evaluatedBy(evaluated)
            .options(isAdapted ? LOOP.toBuilder().lora(new Lora(2, null, null)).build() : LOOP)
            .run(Progress.silent());
    assertThat(outcome.maxOutputDifference()).isLessThan(1e-5);
    var exported = SavedModelDirectory.open(outcome.model().orElseThrow());
    var signature = exported.signature("serving_default");
    assertThat(signature.inputs()).containsOnlyKeys("tokens");
    assertThat(signature.outputs()).containsKeys("logits", "probabilities");
    assertThat(exported.variables()).hasSizeBetween(12, 14).allMatch(v -> v.trainable());
  }

  /** 29 logits for 27 tokens: the last two are never targets. */
  @Test
  void spareLogitsAreFine() {
    var letters = Tokenizer.named("letters:ACDEFGHIKLMNPQRSTVWY");
    assertThat(letters.size()).isLessThan(29);
    var source = SequenceSource.file(Path.of("training/data/family_test.fasta.gz"));
    var options = model("serving_default").options().withTokenizer(letters);
    var outcome =
        FineTuneJob.of(model("serving_default").with(options), source, folder.resolve("run"))
            .batching(SequenceBatching.DEFAULT.withLength(10))
            .options(LOOP)
            .run(Progress.silent());
    assertThat(outcome.maxOutputDifference()).isLessThan(1e-5);
    var large = Tokenizer.named("bytes");
    var wide = model("serving_default").with(options.withTokenizer(large));
    assertThatThrownBy(wide::languageModel)
        .hasMessageContaining("no output for logits: floats [B, L, V] and V at least 259");
  }
}
