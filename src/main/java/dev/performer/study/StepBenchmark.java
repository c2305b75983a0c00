package dev.performer.study;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.data.TokenBatch;
import dev.performer.data.Vocabulary;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Dropout;
import dev.performer.training.LabelledBatch;
import dev.performer.training.LanguageModel;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelTraining;
import dev.performer.training.Objective;
import dev.performer.training.Standardization;
import dev.performer.training.Trainable;
import dev.performer.training.TrainerStep;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.run.AvailableMemory;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.RunMetadata;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Training steps of a language model on random tokens, with Adam and the feeding and metrics of
 * real ones. Owns its graph and session.
 */
public final class StepBenchmark implements AutoCloseable {
  private static final double LEARNING_RATE = 1e-4;
  private static final Optimizer.AdamW ADAM = new Optimizer.AdamW(0.9, 0.999, 1e-8, 0, false);

  private final Graph graph = new Graph();
  private final LabelledBatch batch;
  private final TrainerStep step;
  private Session session;
  private long steps;

  /** Op by op, in float32; else as the other constructor. */
  public StepBenchmark(PerformerConfig config, int rows, int length) {
    this(config, rows, length, false, Precision.FLOAT32);
  }

  /** Builds a model and its step as {@code train} has them, of B rows, and initializes it. */
  public StepBenchmark(
      PerformerConfig config, int rows, int length, boolean xla, Precision precision) {
    try {
      var task = config.task();
      String text = "task %s has no logits of tokens; measure a language model";
      PerformerException.require(task.hasTokenLogits(), text, task.label());
      batch = batch(config.vocabularySize(), rows, length);
      var options = LoopOptions.builder().optimizer(ADAM).clipNorm(0).xla(xla);
      Trainable model = Trainable.of(model(config, rows, length, precision));
      step = TrainerStep.of(model, options.batch(new BatchSize.Sequences(rows)).build());
      session = TrainerStep.session(graph, xla);
      step.model().initializer().accept(session);
      step.optimizer().initializer().accept(session);
    } catch (RuntimeException e) {
      close();
      throw e instanceof TensorFlowException
          ? new PerformerException("the model cannot be built: " + NativeErrors.firstLine(e), e)
          : e;
    }
  }

  /** The step of a recipe: on random tokens, with such a loop, its memory and its batch. */
  StepBenchmark(PerformerConfig config, LoopOptions loop, int length) {
    try {
      batch = batch(config.vocabularySize(), loop.batch().rows(length), length);
      var objective = new Objective.CausalLanguageModel(false);
      LoopOptions options = loop.toBuilder().optimizer(ADAM).clipNorm(0).build();
      var training =
          new ModelTraining(config, objective, options, Trainable::measures, Standardization.NONE);
      step = TrainerStep.of(training.trainable(graph, Map.of()), options);
      session = TrainerStep.session(graph, options.xla());
      step.model().initializer().accept(session);
      step.optimizer().initializer().accept(session);
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /** Takes a step on so many tokens a row, all of id 0. */
  void shortStep(int length) {
    LabelledBatch some = batch(1, batch.rows(), length);
    step.run(session, List.of(some), steps++, LEARNING_RATE);
  }

  private LanguageModel model(PerformerConfig config, int rows, int length, Precision precision) {
    Ops tf = Ops.create(graph);
    Variables variables = new Variables(tf);
    Performer.build(tf, variables, config, 1);
    Performer performer = Performer.learned(config, variables::get, precision);
    Output<TInt32> tokens =
        tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(rows, length))).asOutput();
    Output<TFloat32> logits =
        performer.apply(tf, Inputs.of(tokens), Dropout.none()).logits().asOutput(); // [B, L, V]
    var all = variables.all();
    return new LanguageModel(
        graph, tokens, Optional.empty(), Map.of(), logits, all, variables::initialize);
  }

  private static LabelledBatch batch(int tokens, int rows, int length) {
    int[] ids = new SplittableRandom(1).ints((long) rows * length, 0, tokens).toArray();
    int[] lengths = new int[rows];
    Arrays.fill(lengths, length);
    var random = new TokenBatch(length, ids, lengths, new long[rows], BatchPosition.START);
    var objective = new Objective.CausalLanguageModel(false);
    return objective.label(random, Vocabulary.ofIds(tokens, null), 0, 0);
  }

  /** What a step took, from Java's arrays to the updated weights, and the loss before it. */
  public record Step(double milliseconds, double loss) {}

  /** Takes one step on the same batch. */
  public Step step() {
    long start = System.nanoTime();
    double loss = step.run(session, List.of(batch), steps++, LEARNING_RATE).loss();
    return new Step((System.nanoTime() - start) / 1e6, loss);
  }

  /** Milliseconds of a step, the median of so many after some that plan the graph. */
  double medianMs(int before, int measured) {
    var times = DoubleStream.generate(() -> step().milliseconds()).limit(before + measured);
    return times.skip(before).sorted().toArray()[measured / 2];
  }

  /** Its steps as the work of a case. Closes this. */
  InTurns.Open inTurns(String name) {
    InTurns.Work work =
        new InTurns.Work() {
          @Override
          public void run() {
            step();
          }

          @Override
          public RunMetadata traced() {
            return step.traced(session, batch, steps++, LEARNING_RATE);
          }
        };
    return new InTurns.Open() {
      @Override
      public Map<String, InTurns.Work> work() {
        return Map.of(name, work);
      }

      @Override
      public void close() {
        StepBenchmark.this.close();
      }
    };
  }

  /** The most memory that this process has had, in MB (10^6 bytes). */
  public static double peakMb() {
    return AvailableMemory.peak().orElse(0) / 1e6;
  }

  @Override
  public void close() {
    if (session != null) {
      session.close();
    }
    graph.close();
  }
}
