package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.ModelLocation.RunSource;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.serving.Sampling;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelTest {
  private static final Path CHECKPOINT = Path.of("savedmodels/checkpoints/lm_relu");
  private static final Path BERT =
      ReferenceModels.directory("checkpoints/torch_named").resolve("bert_plain");
  private static final Path PYTHON = Path.of("savedmodels/reference/protein_exp/saved_model");
  @TempDir static Path folder;
  private static Path lm;
  private static Importer.Outcome imported;

  @BeforeAll
  static void importModel() {
    lm = folder.resolve("lm");
    imported = Importer.of(CHECKPOINT).write(lm, false);
  }

  @Test
  void anImportKnowsWhereItComesFrom() {
    assertThat(imported.scheme()).contains("protein_lm");
    assertThat(imported.model()).isEqualTo(lm);
    ModelCard.Provenance provenance = Model.open(lm).card().orElseThrow().provenance();
    assertThat(provenance.importedFrom()).isEqualTo(CHECKPOINT.toString());
    assertThat(provenance.scheme()).isEqualTo(imported.scheme());
  }

  @Test
  void aModelThatIsThereIsNotReadInVain() {
    assertThatThrownBy(() -> Importer.of(folder.resolve("nothing")).write(lm, false))
        .isInstanceOfSatisfying(
            PerformerException.class, e -> assertThat(e.settings()).containsExactly("replace"))
        .hasMessageContaining("exists")
        .hasMessageNotContaining("--");
  }

  /** A card describes a model; without one the model's own configuration does. */
  @Test
  void weightsAreWrittenWithoutACard() {
    PerformerModels.Saved saved = PerformerModels.load(lm);
    Path bare = folder.resolve("bare");
    PerformerModels.write(saved.config(), saved.weights(), null, bare, false);
    Model model = Model.open(bare);
    assertThat(model.config()).contains(saved.config());
    assertThat(model.card().orElseThrow().languageModel().objective())
        .isEqualTo(ModelCard.Objective.CAUSAL_LM);
  }

  @Test
  void aTaskThatTheWeightsDoNotHaveNeedsItsClasses() {
    Path classifier = folder.resolve("classifier");
    var options = ImportOptions.builder().task("classification").allowMissing(true);
    Importer unknown = Importer.of(BERT).with(options.build());
    assertThatThrownBy(() -> unknown.write(classifier, false))
        .hasMessageContainingAll(BERT.toString(), "classifier", "number of classes");
    assertThat(classifier).doesNotExist();
    Importer.of(BERT).with(options.classes(3).build()).write(classifier, false);
    Model model = Model.open(classifier);
    assertThat(model.config().orElseThrow().classes()).isEqualTo(3);
    assertThat(model.card().orElseThrow().provenance().toString()).contains("classifier/");
  }

  @Test
  void aCheckpointIsToBeImported() {
    assertThatThrownBy(() -> Model.open(CHECKPOINT))
        .hasMessageContainingAll(CHECKPOINT.toString(), "checkpoint", "import it");
    assertThatThrownBy(() -> Model.open(folder.resolve("nothing"))).hasMessageContaining("nothing");
  }

  @Test
  void aPythonModelWithoutADescription() {
    LanguageModelSpec spec = Model.open(PYTHON).languageModel();
    assertThat(spec.isCausal()).isFalse();
    assertThat(spec.vocabulary()).isEqualTo(ProteinVocabulary.named("pad-first-protein"));
    assertThat(spec.notes()).hasSize(2).noneMatch(note -> note.contains("--"));
    LanguageModelSpec given =
        Model.open(
                PYTHON,
                ModelOptions.DEFAULT
                    .withTokenizer(Tokenizer.named("pad-first-protein"))
                    .withObjective(ModelCard.Objective.MASKED_LM))
            .languageModel();
    assertThat(given.notes()).isEmpty();
    try (Scorer scorer = Scorer.load(given)) {
      List<Scorer.Guess> guesses = scorer.guesses("MKTAYIAKQR", 3, 40);
      assertThat(guesses).hasSize(spec.vocabulary().size());
      assertThat(guesses.stream().mapToDouble(Scorer.Guess::probability).sum())
          .isCloseTo(1, within(1e-5));
      String likeliest = guesses.get(0).token();
      double score = scorer.score("MKT" + likeliest + "YIAKQR").tokens()[3];
      assertThat(score).isCloseTo(Math.log(guesses.get(0).probability()), within(1e-5));
      assertThatThrownBy(() -> scorer.guesses("MKT", 3, 1)).hasMessageContaining("3 tokens");
    }
  }

  /** The signature has neither tokens nor anything else that would be read as a sequence. */
  @Test
  void anInputThatIsNotFoundNamesTheModel() {
    Model model = Model.open(lm, ModelOptions.DEFAULT.withSignature("decode_step"));
    assertThatThrownBy(model::languageModel)
        .hasMessageStartingWith(lm.toString())
        .hasMessageContaining("decode_step");
  }

  @Test
  void onlyTokensOfTheVocabularyAreGenerated() {
    var options =
        GenerationOptions.DEFAULT
            .withMaxTokens(30)
            .withSampler(Sampling.DEFAULT.withTemperature(50).withSeed(1));
    try (TextGenerator generator = TextGenerator.load(lm)) {
      var texts = generator.generate(List.of("MKT", "AC", "WY", "G"), options);
      assertThat(texts).anyMatch(TextGenerator.Generation::ended);
      assertThat(texts).allMatch(t -> t.text().matches("[A-Z]+"));
      assertThat(generator.generate(List.of("MKT", "AC", "WY", "G"), options.withBatch(1)))
          .extracting(TextGenerator.Generation::text)
          .isEqualTo(texts.stream().map(TextGenerator.Generation::text).toList());
    }
  }

  /** Nothing ended in training, so what the model gives the end token means nothing. */
  @Test
  void theEndTokenNeverComesWhereTrainingHadNone() throws Exception {
    PerformerModels.Saved saved = PerformerModels.load(lm);
    var data = new com.fasterxml.jackson.databind.ObjectMapper().readTree("{\"end\": false}");
    Path endless = folder.resolve("endless");
    PerformerModels.write(
        saved.config(), saved.weights(), saved.card().withData(data), endless, false);
    var options =
        GenerationOptions.DEFAULT
            .withMaxTokens(30)
            .withSampler(Sampling.DEFAULT.withTemperature(50).withSeed(1));
    try (TextGenerator generator = TextGenerator.load(endless)) {
      assertThat(generator.generate(List.of("MKT", "AC", "WY", "G"), options))
          .noneMatch(TextGenerator.Generation::ended)
          .allMatch(text -> text.tokens().size() == 30);
    }
  }

  @Test
  void whatAListenerThrowsEndsGeneration() {
    try (TextGenerator generator = TextGenerator.load(lm)) {
      var seen = new StringBuilder();
      assertThatThrownBy(
              () ->
                  generator.stream(
                      "MKT",
                      GenerationOptions.DEFAULT,
                      piece -> {
                        if (seen.append(piece).length() == 5) {
                          throw new IllegalStateException("enough");
                        }
                      }))
          .hasMessage("enough");
      assertThat(seen).hasSize(5);
    }
  }

  @Test
  void aRunIsAModelOnceItIsFinished() throws Exception {
    Path run = Files.createDirectories(folder.resolve("run"));
    RunSource.of(PYTHON, "serving_default").write(run);
    assertThatThrownBy(() -> Model.open(run))
        .hasMessageContainingAll(run.toString(), "has no model yet");
    Exporter.to(run.resolve("model")).export(PYTHON, "best");
    assertThat(Model.open(run).path()).isEqualTo(run.resolve("model"));
    assertThat(new TreeSet<>(Model.open(run).directory().signatures().keySet()))
        .isEqualTo(new TreeSet<>(Model.open(PYTHON).directory().signatures().keySet()));
  }
}
