package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.ProteinSequence;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SequenceSource;
import dev.performer.data.Vocabulary;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.op.Ops;

/** What must not be started is refused in one line. */
class FineTunerRefusalTest {
  @TempDir Path temporary;

  @Test
  void twoTrainersDoNotShareADirectory() {
    Path run = temporary.resolve("run");
    try (Graph graph = new Graph();
        Trainer first = start(graph, run)) {
      assertThat(first.session()).isNotNull();
      try (Graph other = new Graph()) {
        assertThatThrownBy(
                () ->
                    FineTunerTest.tuning(FineTunerTest.loop(5))
                        .resume(TinyModel.causal(other), TinyModel.data(), run, Progress.silent()))
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining("in use");
      }
    }
  }

  @Test
  void refusesDirectoriesThatWillNotDo() throws IOException {
    Path run = temporary.resolve("run");
    try (Graph graph = new Graph();
        Trainer tuner = start(graph, run)) {
      tuner.run();
    }
    try (Graph graph = new Graph()) {
      assertRefused(() -> start(graph, run), "holds a run already");
      Path full = Files.createDirectories(temporary.resolve("full"));
      Files.writeString(full.resolve("letter.txt"), "dear");
      assertRefused(() -> start(graph, full), "holds other files");
      assertThat(full.toFile().list()).containsExactly("letter.txt");
      assertRefused(() -> start(graph, full.resolve("letter.txt")), "is a file");
      LanguageModel model = TinyModel.causal(graph);
      assertRefused(
          () ->
              FineTunerTest.tuning(FineTunerTest.loop(5))
                  .resume(model, TinyModel.data(), temporary.resolve("no"), Progress.silent()),
          "holds no run to resume");
      assertRefused(
          () ->
              FineTunerTest.tuning(FineTunerTest.loop(5).seed(9))
                  .resume(model, TinyModel.data(), run, Progress.silent()),
          "seed was 1 and is now 9");
    }
  }

  @Test
  void refusesDataAndVocabulariesThatWillNotDo() throws IOException {
    Path fasta = Files.writeString(temporary.resolve("empty.fasta"), "");
    try (Graph graph = new Graph()) {
      LanguageModel model = TinyModel.causal(graph);
      FineTuneOptions.Data empty =
          new FineTuneOptions.Data(
              TinyModel.VOCABULARY, SequenceSource.fasta(fasta), TinyModel.data().validation());
      Path run = temporary.resolve("run");
      assertRefused(
          () ->
              FineTunerTest.tuning(FineTunerTest.loop(5))
                  .start(model, empty, run, Progress.silent()),
          "empty.fasta holds no sequence");
      assertThat(run).doesNotExist();
      var wide =
          Vocabulary.of(
              ProteinVocabulary.letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"),
              null,
              null,
              null,
              null,
              null);
      FineTuneOptions.Data tooWide =
          new FineTuneOptions.Data(wide, TinyModel.data().train(), TinyModel.data().validation());
      assertRefused(
          () ->
              FineTunerTest.tuning(FineTunerTest.loop(5))
                  .start(model, tooWide, run, Progress.silent()),
          "36 tokens");
      FineTuneOptions.Data single =
          new FineTuneOptions.Data(
              TinyModel.VOCABULARY,
              TinyModel.data().train(),
              SequenceSource.of(List.of(new ProteinSequence("a", "", "M"))));
      try (Trainer tuner =
          FineTunerTest.tuning(FineTunerTest.loop(5))
              .start(model, single, run, Progress.silent())) {
        assertRefused(tuner::run, "nothing to guess");
      }
      assertThat(run).doesNotExist();
    }
  }

  @Test
  void refusesModelsThatCannotBeTrainedAndLeavesTheDirectoryFree() throws IOException {
    Path run = temporary.resolve("run");
    try (Graph graph = new Graph()) {
      LanguageModel model = TinyModel.causal(graph);
      LanguageModel frozen =
          new LanguageModel(
              graph,
              model.tokens(),
              model.mask(),
              model.others(),
              Ops.create(graph).stopGradient(model.logits()).asOutput(),
              model.variables(),
              model.initializer());
      assertRefused(
          () ->
              FineTunerTest.tuning(FineTunerTest.loop(5))
                  .start(frozen, TinyModel.data(), run, Progress.silent()),
          "the model cannot be trained");
      assertThat(run).doesNotExist();
      LanguageModel broken =
          new LanguageModel(
              graph,
              model.tokens(),
              model.mask(),
              model.others(),
              model.logits(),
              model.variables(),
              session -> {
                throw new PerformerException("weights cannot be read");
              });
      Path empty = Files.createDirectories(temporary.resolve("empty"));
      for (Path place : List.of(run, empty)) {
        assertRefused(
            () ->
                FineTunerTest.tuning(FineTunerTest.loop(5))
                    .start(broken, TinyModel.data(), place, Progress.silent()),
            "weights cannot be read");
      }
      assertThat(run).doesNotExist();
      assertThat(empty).isEmptyDirectory();
      try (Trainer tuner =
          FineTunerTest.tuning(FineTunerTest.loop(5))
              .start(model, TinyModel.data(), run, Progress.silent())) {
        assertThat(tuner.run().finished()).isTrue();
      }
    }
  }

  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatThrownBy(call)
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  private static Trainer start(Graph graph, Path run) {
    return FineTunerTest.tuning(FineTunerTest.loop(5))
        .start(TinyModel.causal(graph), TinyModel.data(), run, Progress.silent());
  }
}
