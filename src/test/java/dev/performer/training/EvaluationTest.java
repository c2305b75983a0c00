package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.Masking;
import dev.performer.data.SequenceSource;
import dev.performer.training.run.Evaluation;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.tensorflow.Graph;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

class EvaluationTest {
  @Test
  void theResultDoesNotDependOnTheBatches() {
    for (Objective objective :
        List.of(
            new Objective.CausalLanguageModel(false),
            new Objective.MaskedLanguageModel(Masking.PROTEIN_LM))) {
      Evaluation one = evaluate(objective, new BatchSize.Sequences(1), 1);
      Evaluation many = evaluate(objective, new BatchSize.Tokens(4096), 64);
      assertThat(many.guesses()).isEqualTo(one.guesses()).isGreaterThan(300);
      assertThat(many.sequences()).isEqualTo(60);
      assertThat(many.loss()).isCloseTo(one.loss(), within(1e-6));
      assertThat(many.accuracy()).isEqualTo(one.accuracy());
      assertThat(many.perplexity()).isCloseTo(Math.exp(one.loss()), within(1e-4));
    }
  }

  @Test
  void readsTheShippedProteins() {
    try (Graph graph = new Graph()) {
      Evaluation evaluation =
          TinyModel.masked(graph)
              .evaluate(
                  new Objective.MaskedLanguageModel(Masking.PROTEIN_LM),
                  ExampleBatches.of(
                      SequenceSource.fasta(Path.of("training/data/valid.fasta.gz")),
                      TinyModel.data().tokenizer(),
                      Batching.training(512, 16384).forEvaluation(),
                      0),
                  TokenBatchSource.EVALUATION_SEED);
      assertThat(evaluation.sequences()).isEqualTo(500);
      // 123,000 residues, of which 15 % are to be guessed.
      assertThat(evaluation.guesses()).isBetween(17_000L, 20_000L);
      assertThat(evaluation.perplexity()).isBetween(20.0, 40.0);
    }
  }

  @Test
  void aFailingBatchIsOneLine() {
    try (Graph graph = new Graph()) {
      // A model with positions for 8 tokens only.
      Ops tf = Ops.create(graph);
      var tokens = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1, -1)));
      var positions = tf.zeros(tf.constant(new int[] {8, 29}), TFloat32.class);
      var hot = tf.oneHot(tokens, tf.constant(29), tf.constant(1f), tf.constant(0f));
      LanguageModel model =
          new LanguageModel(
              graph,
              tokens.asOutput(),
              Optional.empty(),
              Map.of(),
              tf.math.add(hot, positions).asOutput(),
              List.of(),
              session -> {});
      assertThatThrownBy(
              () ->
                  model.evaluate(
                      new Objective.CausalLanguageModel(false),
                      batches(new BatchSize.Tokens(1000), 64),
                      1))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("of 64 tokens")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void modelsOfFixedShapesGetThem() {
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      var tokens = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(7, 48)));
      LanguageModel model =
          new LanguageModel(
              graph,
              tokens.asOutput(),
              Optional.empty(),
              Map.of(),
              tf.oneHot(tokens, tf.constant(29), tf.constant(5f), tf.constant(0f)).asOutput(),
              List.of(),
              session -> {});
      Batching batching = model.fit(Batching.training(512, 16384).forEvaluation());
      Evaluation evaluation =
          model.evaluate(
              new Objective.CausalLanguageModel(true),
              ExampleBatches.of(
                  TinyModel.data().validation(), TinyModel.data().tokenizer(), batching, 0),
              1);
      // 60 sequences are 8 batches of 7 and one of 4, filled up with rows that do not count.
      assertThat(evaluation.sequences()).isEqualTo(60);
      assertThat(evaluation.accuracy()).isEqualTo(1);
      assertThat(evaluation.loss()).isCloseTo(Math.log(1 + 28 * Math.exp(-5)), within(1e-5));
    }
  }

  private static Evaluation evaluate(Objective objective, BatchSize size, int bucket) {
    try (Graph graph = new Graph()) {
      LanguageModel model =
          objective instanceof Objective.CausalLanguageModel
              ? TinyModel.causal(graph)
              : TinyModel.masked(graph);
      return model.evaluate(objective, batches(size, bucket), 7);
    }
  }

  private static ExampleBatches batches(BatchSize size, int bucket) {
    Batching batching = new Batching(64, size, bucket, false, false, false, false, 1000);
    return ExampleBatches.of(
        TinyModel.data().validation(), TinyModel.data().tokenizer(), batching, 0);
  }
}
