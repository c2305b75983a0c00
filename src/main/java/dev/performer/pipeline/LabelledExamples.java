package dev.performer.pipeline;

import dev.performer.data.ArrayRows;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.ExampleSource;
import dev.performer.data.HeldOut;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TaskCard;
import dev.performer.training.ArrayBatchSource;
import dev.performer.training.BatchSource;
import dev.performer.training.LabelledBatch;
import dev.performer.training.Objective;
import dev.performer.training.TokenBatchSource;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiFunction;
import org.tensorflow.proto.DataType;

/** Labelled examples of a file, as a model takes them. */
sealed interface LabelledExamples {
  String name();

  /** Without end, in a random order. */
  BatchSource training(long seed);

  /** One pass in their own order. */
  BatchSource evaluation();

  /** Holds out every 20th. */
  HeldOut<LabelledExamples> heldOut();

  /** A batch as a signature takes it, in inference. @param card names its inputs */
  Map<String, NpyArray> feeds(LabelledBatch batch, SignatureSpec signature, TaskCard card);

  /** The first batch of a pass. */
  default LabelledBatch first() {
    try (BatchSource pass = evaluation()) {
      return pass.next();
    }
  }

  /** Texts. */
  record Texts(ExampleSource source, TokenInput input, Batching batching, Objective objective)
      implements LabelledExamples {
    @Override
    public String name() {
      return source.name();
    }

    private ExampleBatches batches(Batching how, long seed) {
      return new ExampleBatches(source, input.tokenizer().vocabulary(), how, seed);
    }

    @Override
    public BatchSource training(long seed) {
      return TokenBatchSource.training(batches(batching, seed), objective, seed);
    }

    @Override
    public BatchSource evaluation() {
      return TokenBatchSource.evaluation(batches(batching.forEvaluation(), 0), objective);
    }

    @Override
    public HeldOut<LabelledExamples> heldOut() {
      HeldOut<ExampleSource> parts = HeldOut.of(source, HeldOut.EVERY);
      return new HeldOut<>(with(parts.train()), with(parts.validation()));
    }

    private LabelledExamples with(ExampleSource part) {
      return new Texts(part, input, batching, objective);
    }

    @Override
    public Map<String, NpyArray> feeds(
        LabelledBatch batch, SignatureSpec signature, TaskCard card) {
      return input
          .in(signature, card.tokens(), card.mask())
          .feeds(batch.inputs(), batch.mask(), batch.rows(), batch.length());
    }
  }

  /** Arrays. @param batches of the rows at some places */
  record Arrays(ArrayRows rows, int size, BiFunction<ArrayRows, int[], LabelledBatch> batches)
      implements LabelledExamples {
    @Override
    public String name() {
      return rows.name();
    }

    @Override
    public BatchSource training(long seed) {
      return ArrayBatchSource.training(rows, places -> batches.apply(rows, places), size, seed);
    }

    @Override
    public BatchSource evaluation() {
      return ArrayBatchSource.evaluation(rows, places -> batches.apply(rows, places), size);
    }

    @Override
    public HeldOut<LabelledExamples> heldOut() {
      HeldOut<ArrayRows> parts = rows.heldOut(HeldOut.EVERY);
      return new HeldOut<>(
          new Arrays(parts.train(), size, batches), new Arrays(parts.validation(), size, batches));
    }

    @Override
    public Map<String, NpyArray> feeds(
        LabelledBatch batch, SignatureSpec signature, TaskCard card) {
      Map<String, NpyArray> feeds = new LinkedHashMap<>(batch.arrays());
      signature.inputs().values().stream()
          .filter(input -> input.type() == DataType.DT_BOOL)
          .forEach(
              i ->
                  feeds.putIfAbsent(
                      i.name(), new NpyArray(NpyType.BOOL, new long[0], new byte[1])));
      return feeds;
    }
  }
}
