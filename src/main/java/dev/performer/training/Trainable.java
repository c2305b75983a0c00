package dev.performer.training;

import dev.performer.graph.Variable;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.op.Op;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/**
 * A graph with a loss, ready for a {@link Trainer}. The graph is owned by whoever made this.
 *
 * @param graph holds everything below
 * @param variables all of the model, projections included
 * @param initializer gives a new session's variables their values, averages included
 * @param loss mean over a batch, scalar; what is differentiated
 * @param sums over a batch: cross-entropy, right guesses, and guesses, {@code [3]}
 * @param evaluation the same sums without dropout and, where there are averages, with them
 * @param feed how a batch is fed
 * @param averages of the weights, or empty
 * @param dropoutSeed placeholder {@code [2]}, fed anew for every batch; empty where nothing is
 *     dropped
 * @param redrawSeed placeholder {@code [2]} of the redraws; empty without any
 * @param redraws ops that draw new projections, by the steps between draws
 * @param activations what layers compute, in their order, by names that a message can use
 * @param diagnostics scalars on a validation batch, such as the rank of features, by name
 * @param measures what an evaluation measures besides
 */
record Trainable(
    Graph graph,
    List<Variable> variables,
    Consumer<Session> initializer,
    Output<TFloat32> loss,
    Output<TFloat64> sums,
    Output<TFloat64> evaluation,
    BatchFeed feed,
    Optional<Averages> averages,
    Optional<Operand<TInt64>> dropoutSeed,
    Optional<Operand<TInt32>> redrawSeed,
    Map<Integer, List<Op>> redraws,
    Map<String, Output<?>> activations,
    Map<String, Output<TFloat64>> diagnostics,
    Measures measures) {

  /** Makes the tensors of a batch. */
  @FunctionalInterface
  interface BatchFeed {
    Feed of(LabelledBatch batch);
  }

  /** The same, measured by another output. */
  Trainable withSums(Output<TFloat64> other) {
    return new Trainable(
        graph,
        variables,
        initializer,
        loss,
        other,
        evaluation,
        feed,
        averages,
        dropoutSeed,
        redrawSeed,
        redraws,
        activations,
        diagnostics,
        measures);
  }

  /** The same with an evaluation that measures something else besides. */
  Trainable withMeasures(Measures other) {
    return new Trainable(
        graph,
        variables,
        initializer,
        loss,
        sums,
        evaluation,
        feed,
        averages,
        dropoutSeed,
        redrawSeed,
        redraws,
        activations,
        diagnostics,
        other);
  }

  /** A language model as it is, with nothing drawn anew: an imported one. */
  static Trainable of(LanguageModel model) {
    LossGraph loss = LossGraph.build(model);
    return new Trainable(
        model.graph(),
        model.variables(),
        model.initializer(),
        loss.loss(),
        loss.sums(),
        loss.sums(),
        batch -> Feed.of(model, loss, batch),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        Map.of(),
        Map.of("logits", model.logits()),
        Map.of(),
        Measures.NONE);
  }
}
