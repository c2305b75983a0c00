package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.BatchSize;
import dev.performer.data.NpyArray;
import dev.performer.data.SequenceSource;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.model.PerformerConfig;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.LoopOptions;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JobsTest {
  private static final Tokenizer LETTERS = Tokenizer.named("google-protein");
  private static final List<String> TEXTS =
      IntStream.range(0, 60).mapToObj(i -> "MKTAY".repeat(2 + i % 5)).toList();
  @TempDir Path folder;

  private static SequenceTraining training(String task, boolean causal, String... more) {
    PerformerConfig config =
        PerformerConfig.preset("performer")
            .with("task=" + task, "vocabularySize=" + LETTERS.size(), "maxLength=32", "layers=1")
            .with("hiddenSize=16", "heads=2", "attention={kernel: relu, causal: " + causal + "}")
            .with(more);
    return SequenceTraining.of(config, LETTERS, SequenceSource.texts("texts", TEXTS))
        .withBatching(SequenceBatching.DEFAULT.withLength(32).withSize(new BatchSize.Sequences(8)))
        .withLoop(LoopOptions.of("steps=6", "evaluateEvery=2", "checkpointEvery=2"));
  }

  @Test
  void ownSequencesTrainAndListenersHear() {
    Map<Long, Evaluation> evaluations = new TreeMap<>();
    List<Long> checkpoints = new ArrayList<>();
    Progress listener =
        new Progress() {
          @Override
          public void evaluation(long step, Evaluation evaluation) {
            evaluations.put(step, evaluation);
          }

          @Override
          public void checkpoint(long step, Path directory) {
            assertThat(directory).isDirectory();
            checkpoints.add(step);
          }
        };
    Path run = folder.resolve("run");
    TrainJob.Outcome outcome = TrainJob.of(training("masked-lm", false), run).run(listener);
    assertThat(evaluations.keySet()).containsExactly(0L, 2L, 4L, 6L);
    assertThat(evaluations.get(6L)).isEqualTo(outcome.result().after());
    assertThat(checkpoints).contains(0L, 6L);
    LanguageModelSpec spec = Model.open(run).languageModel();
    assertThat(spec.notes()).isEmpty();
    assertThat(spec.vocabulary()).isEqualTo(LETTERS.vocabulary());
    assertThat(Model.open(run).card().orElseThrow().provenance().trainedOn()).isEqualTo("texts");
  }

  /** Stopped in the middle and resumed, a run ends with the weights of one that was not. */
  @Test
  void aJobThatIsStoppedGoesOn() {
    SequenceTraining training = training("causal-lm", true);
    Path whole = folder.resolve("whole");
    TrainJob.of(training, whole).run(new Progress() {});
    Path parts = folder.resolve("parts");
    TrainJob first = TrainJob.of(training, parts);
    TrainJob.Outcome stopped =
        first.run(
            new Progress() {
              @Override
              public void step(long step, double loss, double tokensPerSecond) {
                if (step == 3) {
                  first.stop();
                }
              }
            });
    assertThat(stopped.model()).isEmpty();
    assertThat(stopped.result().steps()).isEqualTo(3);
    assertThatThrownBy(() -> Model.open(parts)).hasMessageContaining("has no model yet");
    assertThatThrownBy(() -> Exporter.to(folder.resolve("early")).export(parts, "best"))
        .hasMessageContaining("resume it there");
    TrainJob.of(training, parts).resuming(true).run(new Progress() {});
    try (Scorer one = Scorer.load(whole);
        Scorer other = Scorer.load(parts)) {
      assertThat(other.score(TEXTS.get(3)).tokens()).isEqualTo(one.score(TEXTS.get(3)).tokens());
    }
    assertThatThrownBy(
            () ->
                TrainJob.of(training.withLoop(training.loop().with("seed=9")), parts)
                    .resuming(true)
                    .run(new Progress() {}))
        .hasMessageContaining("seed");
  }

  @Test
  void whatSequencesCannotTrainIsRefused() {
    assertThatThrownBy(() -> training("encoder", false)).hasMessageContaining("causal-lm");
    assertThatThrownBy(() -> training("causal-lm", false))
        .hasMessageContaining("needs causal attention");
  }

  /** Ids with begin, end and mask among them, of unequal lengths. */
  @ParameterizedTest
  @CsvSource({"masked-lm, false, false", "causal-lm, true, false", "causal-lm, true, true"})
  void theSignatureScoresIdsAsTheLibraryDoes(String task, boolean causal, boolean shifts) {
    int bos = LETTERS.vocabulary().bos().orElse(0);
    String[] more = shifts ? new String[] {"shiftBos=" + bos} : new String[0];
    SequenceTraining training = training(task, causal, more);
    Path run = folder.resolve("run");
    TrainJob.of(training, run).run(new Progress() {});
    int pad = LETTERS.vocabulary().pad().orElseThrow();
    int mask = LETTERS.vocabulary().mask().orElseThrow();
    int eos = LETTERS.vocabulary().eos().orElseThrow();
    int[][] ids = {{5, 9, mask, 7, eos}, {eos, 12, 3}, {8}};
    int[] rows = {5, 9, mask, 7, eos, eos, 12, 3, pad, pad, 8, pad, pad, pad, pad};
    var encodings =
        Arrays.stream(ids).map(row -> new Tokenizer.Encoding(row, 0, row.length, 0)).toList();
    var sequences =
        new TokenizedSequences("ids", List.of("a", "b", "c"), encodings, Optional.empty());
    try (Scorer scorer = Scorer.load(run);
        Predictor predictor = Predictor.load(run)) {
      var exported = predictor.predict("score", Map.of("tokens", NpyArray.of(rows, 3, 5)));
      float[] each = exported.get("log_probabilities").floats();
      float[] sums = exported.get("log_probability").floats();
      List<Scorer.Score> scores = scorer.score(sequences, 2);
      for (int r = 0; r < ids.length; r++) {
        assertThat(sums[r]).isCloseTo((float) scores.get(r).sum(), within(1e-4f));
        for (int i = 0; i < 5; i++) {
          double expected = i < ids[r].length ? scores.get(r).tokens()[i] : 0;
          assertThat((double) each[5 * r + i]).as("%d, %d", r, i).isCloseTo(expected, within(1e-5));
        }
      }
      assertThat(scores.get(0).counted()).isEqualTo(causal ? (shifts ? 5 : 4) : 3);
    }
  }

  /** A request that comes before there is anything to stop counts, too. */
  @Test
  void fineTuningStopsAtOnce() {
    Model model = Model.open(Path.of("savedmodels/protein-mlm/saved_model"));
    FineTuneJob job =
        FineTuneJob.of(model, SequenceSource.texts("texts", TEXTS), folder.resolve("tuned"))
            .options(FineTuneOptions.LOOP.with("steps=5"));
    job.stop();
    assertThatThrownBy(() -> job.run(new Progress() {}))
        .hasMessageContaining("stopped before the first step");
    assertThat(Files.exists(folder.resolve("tuned/model"))).isFalse();
  }
}
