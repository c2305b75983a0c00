package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.model.PerformerConfig.DropoutRates;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Dropout;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.optim.Averages;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/** A new {@link Performer} with the loss of its task. */
public final class PerformerTraining {
  private PerformerTraining() {}

  /**
   * Builds the graph.
   *
   * @param precision of what is differentiated; evaluation is float32
   * @param averageDecay of the weights' averages; 0 for none
   * @param start weights to begin with, by name, instead of random ones; projections are drawn in
   *     any case. Empty for none
   * @throws PerformerException if {@code start} lacks a weight, or has one of another shape
   */
  public static Trainable build(
      Graph graph,
      PerformerConfig config,
      LossGraph.Options options,
      Precision precision,
      double averageDecay,
      long seed,
      Map<String, NpyArray> start) {
    Ops tf = Ops.create(graph);
    Variables variables = new Variables(tf);
    Performer model = Performer.build(tf, variables, config, seed);
    List<Variable> own = variables.all();
    var averages =
        Optional.of(averageDecay)
            .filter(decay -> decay > 0)
            .map(decay -> Averages.create(variables, variables.trainable(), decay));
    Optional<Op> averageInitializer = averages.map(a -> a.initializer(tf));
    var anyBatch = Placeholder.shape(Shape.of(-1, -1));
    Operand<TInt32> tokens = tf.placeholder(TInt32.class, anyBatch); // [B, L]
    Operand<TFloat32> mask = tf.placeholder(TFloat32.class, anyBatch); // [B, L]
    var kind = config.task().hasNumbers() ? TFloat32.class : TInt32.class;
    Output<?> targets = tf.placeholder(kind, anyBatch).asOutput(); // [B, 1] or [B, L]
    Output<TFloat32> weights = tf.placeholder(TFloat32.class, anyBatch).asOutput(); // [B, L]
    Operand<TInt64> dropout = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(2)));
    Operand<TInt32> redraw = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(2)));
    Inputs encoded = Inputs.of(tokens, mask);
    Inputs inputs =
        config.task().hasDecoder() // it reads the right tokens, which the model shifts: [B, T]
            ? encoded.withDecoder(
                tf.placeholder(TInt32.class, anyBatch), tf.placeholder(TFloat32.class, anyBatch))
            : encoded;
    boolean drops = !config.dropout().equals(DropoutRates.NONE);
    boolean rounds = precision != Precision.FLOAT32;
    Performer trained = rounds ? Performer.over(config, variables::get, precision) : model;
    Outputs outputs = trained.apply(tf, inputs, drops ? Dropout.of(dropout) : Dropout.none());
    LossGraph training = loss(tf, outputs, targets, weights, options);
    Output<TFloat64> evaluation = training.sums();
    Outputs inference = outputs;
    if (drops || rounds || averages.isPresent()) {
      Performer evaluated =
          averages
              .map(a -> Performer.over(config, name -> a.of(variables.get(name))))
              .orElse(model);
      inference = evaluated.apply(tf, inputs, Dropout.none());
      evaluation = loss(tf, inference, targets, weights, LossGraph.Options.NONE).sums();
    }
    Map<Integer, List<Op>> redraws = model.redraws(tf, variables::get, redraw);
    return new Trainable(
        graph,
        own,
        session -> {
          variables.initialize(session);
          if (!start.isEmpty()) {
            PerformerModels.assign(
                tf.withSubScope("start"), session, started(variables.trainable(), start), start);
          }
          averageInitializer.ifPresent(op -> session.runner().addTarget(op).run().close());
        },
        training.loss(),
        training.sums(),
        evaluation,
        batch -> feed(inputs, training, batch),
        averages,
        drops ? Optional.of(dropout) : Optional.empty(),
        redraws.isEmpty() ? Optional.empty() : Optional.of(redraw),
        redraws,
        activations(outputs),
        FeatureDiagnostics.of(tf, model, inference),
        measured(inference));
  }

  private static Feed feed(Inputs inputs, LossGraph loss, LabelledBatch batch) {
    Feed feed = new Feed();
    feed.put(inputs.tokens().asOutput(), batch.inputs(), batch.rows(), batch.length());
    feed.put(inputs.mask().asOutput(), batch.mask(), batch.rows(), batch.length());
    if (inputs.decoderTokens() != null) {
      long[] shape = {batch.rows(), batch.guesses()};
      feed.put(inputs.decoderTokens().asOutput(), batch.targets(), shape);
      feed.put(inputs.decoderMask().asOutput(), batch.decoderMask(), shape);
    }
    return feed.putLabels(loss, batch);
  }

  /** Classes and numbers are looked at one by one, tokens are not. */
  private static Measures measured(Outputs outputs) {
    return outputs.logits() != null
        ? Measures.NONE
        : new Measures(Optional.of(outputs.classLogits().asOutput()), Measures.NONE.tallies());
  }

  private static LossGraph loss(
      Ops tf,
      Outputs outputs,
      Output<?> targets,
      Output<TFloat32> weights,
      LossGraph.Options options) {
    if (targets.type() == TFloat32.class) {
      var numbers = targets.expect(TFloat32.class);
      return LossGraph.ofNumbers(tf, outputs.classLogits(), numbers, weights);
    }
    // A sequence's classes are as if it were one token: [B, 1, C].
    var logits =
        outputs.logits() != null
            ? outputs.logits()
            : tf.expandDims(outputs.classLogits(), tf.constant(1));
    return LossGraph.build(tf, logits, targets.expect(TInt32.class), weights, options);
  }

  private static Map<String, Output<?>> activations(Outputs outputs) {
    Map<String, Output<?>> result = new LinkedHashMap<>();
    result.put("embeddings", outputs.embeddings().asOutput());
    for (int i = 0; i < outputs.layers().size(); i++) {
      Outputs.Layer layer = outputs.layers().get(i);
      result.put("layer_" + i + "/attention", layer.attentionOutput().asOutput());
      result.put("layer_" + i, layer.hidden().asOutput());
    }
    var logits = outputs.logits() != null ? outputs.logits() : outputs.classLogits();
    result.put("logits", logits.asOutput());
    return result;
  }

  private static List<Variable> started(List<Variable> variables, Map<String, NpyArray> start) {
    for (Variable variable : variables) {
      NpyArray value = start.get(variable.name());
      boolean fits = value != null && Shape.of(value.shape()).equals(variable.shape());
      PerformerException.require(
          fits,
          "the model to start from has %s %s; its sizes must be the recipe's",
          value == null ? "no weight" : "another shape of",
          variable.name() + (value == null ? "" : ": " + value + " for " + variable.shape()));
    }
    return variables;
  }
}
