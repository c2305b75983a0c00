package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.attention.FeatureMap;
import dev.performer.data.NpyArray;
import dev.performer.graph.Recomputation;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.model.PerformerConfig.DropoutRates;
import dev.performer.model.Task;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Dropout;
import dev.performer.nn.HeadMixer;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.optim.Averages;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/** A new {@link Performer} with the loss of its task and what shows how it learns. */
final class PerformerTraining {
  private static final String CLASSIFIER = "classifier/";

  private final Ops tf;
  private final Inputs inputs;
  private final Output<?> targets; // [B, 1] or [B, L]
  private final Output<TFloat32> weights; // [B, L]
  private final boolean fewCount; // of the positions: so many logits are computed

  private PerformerTraining(Ops tf, PerformerConfig config, LoopOptions loop) {
    this.tf = tf;
    // How many count is known when the graph runs, and XLA would compile each number anew.
    fewCount = config.task() == Task.MASKED_LM && !config.classToken() && !loop.xla();
    var anyBatch = Placeholder.shape(Shape.of(-1, -1));
    Operand<TInt32> tokens = tf.placeholder(TInt32.class, anyBatch); // [B, L]
    Operand<TFloat32> mask = tf.placeholder(TFloat32.class, anyBatch); // [B, L]
    var kind = config.task().hasNumbers() ? TFloat32.class : TInt32.class;
    targets = tf.placeholder(kind, anyBatch).asOutput();
    weights = tf.placeholder(TFloat32.class, anyBatch).asOutput();
    Inputs all = Inputs.of(tokens, mask);
    if (config.task().hasDecoder()) { // it reads the right tokens, which the model shifts
      Operand<TInt32> written = tf.placeholder(TInt32.class, anyBatch); // [B, T]
      all = all.withDecoder(written, tf.placeholder(TFloat32.class, anyBatch));
    }
    inputs = all;
  }

  /**
   * Builds the graph.
   *
   * @param loop its seed, averages, losses and precision; evaluation is float32
   * @param start weights to begin with, by name, instead of random ones; projections are drawn in
   *     any case. Empty for none A classifier that they lack begins at random
   * @throws PerformerException if {@code start} lacks another weight, or has one of another shape
   */
  static Trainable build(
      Graph graph, PerformerConfig config, LoopOptions loop, Map<String, NpyArray> start) {
    Ops tf = Ops.create(graph);
    Variables variables = new Variables(tf);
    Performer model = Performer.build(tf, variables, config, loop.seed());
    List<Variable> weights = variables.trainable();
    double decay = loop.averageDecay();
    var trained = loop.groups().of(variables.all()).stream().filter(Variable::trainable).toList();
    var averages = decay > 0 ? Averages.create(variables, trained, decay) : null;
    var training = new PerformerTraining(tf, config, loop);
    Operand<TInt64> dropout = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(2)));
    Operand<TInt32> redraw = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(2)));
    boolean drops = !config.dropout().equals(DropoutRates.NONE);
    boolean rounds = loop.precision() != Precision.FLOAT32;
    Performer rounded =
        rounds ? Performer.learned(config, variables::get, loop.precision()) : model;
    Dropout rates = drops ? Dropout.of(dropout) : Dropout.none();
    var parts = loop.memory() == Memory.RECOMPUTE ? new Recomputation() : null;
    boolean isCut = loop.memory() == Memory.SEGMENTS;
    var segments = isCut ? new SegmentGraph(tf, config, loop, training.inputs) : null;
    Variables states = new Variables(tf);
    Outputs outputs =
        isCut
            ? segments.train(rounded, states, rates)
            : rounded.apply(tf, training.inputs, rates, parts);
    var options = new LossGraph.Options(loop.labelSmoothing(), loop.zLoss());
    LossGraph loss = training.loss(rounded, outputs, options);
    var built =
        Trainable.builder(
            graph,
            variables::all,
            session -> {
              variables.initialize(session);
              states.initialize(session);
              if (!start.isEmpty()) {
                boolean isNew = beginsClassifierAnew(config, start);
                var body = new ArrayList<>(weights);
                body.removeIf(weight -> isNew && weight.name().startsWith(CLASSIFIER));
                requireAlike(body, start);
                PerformerModels.assign(tf.withSubScope("start"), session, body, start);
              }
            });
    Outputs inference = outputs;
    if (drops || rounds || averages != null || parts != null || loop.truncate()) {
      Performer evaluated =
          averages == null
              ? model
              : Performer.over(config, name -> averages.of(variables.get(name)));
      inference =
          isCut
              ? segments.evaluate(evaluated, states)
              : evaluated.apply(tf, training.inputs, Dropout.none());
      built.evaluation(training.loss(evaluated, inference, LossGraph.Options.NONE).sums());
    }
    model.redraws(tf, variables::get, redraw).forEach((n, ops) -> built.redraw(redraw, n, ops));
    activations(built, outputs);
    training.diagnostics(built, model, inference);
    if (isCut) {
      built.segments(segments).loss(segments.minimized(loss.total()));
      built.feed(batch -> segments.feed(training.feed(loss, batch), batch));
    } else {
      built.loss(loss.loss()).feed(batch -> training.feed(loss, batch));
    }
    return built
        .sums(loss.sums())
        .parts(parts == null ? Recomputation.NONE : parts)
        .averages(averages)
        .dropoutSeed(drops ? dropout : null)
        .measures(measured(inference))
        .build();
  }

  /**
   * The model in segments over the variables of a graph that holds it already, without dropout.
   *
   * @param variables of the graph, all of the model among them
   */
  static Trainable inSegments(
      Graph graph,
      PerformerConfig config,
      LoopOptions loop,
      List<Variable> variables,
      Consumer<Session> initializer) {
    Ops tf = Ops.create(graph).withSubScope("in_segments");
    Map<String, Variable> named = new HashMap<>();
    variables.forEach(variable -> named.put(variable.name(), variable));
    var training = new PerformerTraining(tf, config, loop);
    var segments = new SegmentGraph(tf, config, loop, training.inputs);
    Performer model = Performer.learned(config, named::get, Precision.FLOAT32);
    Outputs outputs = segments.train(model, new Variables(tf), Dropout.none());
    LossGraph loss = training.loss(model, outputs, LossGraph.Options.NONE);
    var built = Trainable.builder(graph, () -> variables, initializer);
    activations(built, outputs);
    return built
        .segments(segments)
        .loss(segments.minimized(loss.total()))
        .sums(loss.sums())
        .feed(batch -> segments.feed(training.feed(loss, batch), batch))
        .build();
  }

  private Feed feed(LossGraph loss, LabelledBatch batch) {
    Feed feed =
        new Feed()
            .put(inputs.tokens(), batch.inputs(), batch.rows(), batch.length())
            .put(inputs.mask(), batch.mask(), batch.rows(), batch.length());
    if (inputs.decoderTokens() != null) {
      feed.put(inputs.decoderTokens(), batch.targets(), batch.rows(), batch.guesses())
          .put(inputs.decoderMask(), batch.decoderMask(), batch.rows(), batch.guesses());
    }
    return feed.putLabels(loss, batch);
  }

  /** Classes and numbers are looked at one by one, tokens are not. */
  private static Measures measured(Outputs outputs) {
    return outputs.logits() != null
        ? Measures.NONE
        : new Measures(Optional.of(outputs.classLogits().asOutput()), Measures.NONE.tallies());
  }

  private LossGraph loss(Performer model, Outputs outputs, LossGraph.Options options) {
    if (targets.type() == TFloat32.class) {
      var numbers = targets.expect(TFloat32.class);
      return LossGraph.ofNumbers(tf, outputs.classLogits(), numbers, weights);
    }
    if (fewCount) {
      return lossWhereCounted(model, outputs.sequence(), options);
    }
    // A sequence's classes are as if it were one token: [B, 1, C].
    var logits =
        outputs.logits() != null
            ? outputs.logits()
            : tf.expandDims(outputs.classLogits(), tf.constant(1));
    return LossGraph.build(tf, logits, targets.expect(TInt32.class), weights, options);
  }

  /** From hidden states, {@code [B, L, E]}, at the n positions whose weight is not 0. */
  private LossGraph lossWhereCounted(
      Performer model, Operand<TFloat32> hidden, LossGraph.Options options) {
    var at = tf.where(tf.math.notEqual(weights, tf.constant(0f))); // [n, 2]
    var logits = model.tokenLogits(tf, tf.gatherNd(hidden, at)); // [n, V]
    var ids = tf.gatherNd(targets.expect(TInt32.class), at).asOutput(); // [n]
    var counted = tf.gatherNd(weights, at).asOutput(); // [n]
    var found = LossGraph.build(tf, tf.expandDims(logits, tf.constant(0)), ids, counted, options);
    return new LossGraph(targets, weights, found.loss(), found.total(), found.sums());
  }

  private static void activations(Trainable.Builder built, Outputs outputs) {
    built.activation("embeddings", outputs.embeddings().asOutput());
    for (int i = 0; i < outputs.layers().size(); i++) {
      Outputs.Layer layer = outputs.layers().get(i);
      built.activation("layer_" + i + "/attention", layer.attentionOutput().asOutput());
      built.activation("layer_" + i, layer.hidden().asOutput());
    }
    var logits = outputs.logits() != null ? outputs.logits() : outputs.classLogits();
    built.activation("logits", logits.asOutput());
  }

  /**
   * How the random features of each layer fare: {@code layer_0/featureNorm} is the mean length of
   * φ(k), {@code layer_0/featureRank} the effective rank {@code tr(G)²/tr(G²)} of {@code G =
   * φ(K)ᵀφ(K)}, between 1 and M, mean over sequences and heads. Few features that do all the work,
   * or lengths that explode, show that a kernel estimate is poor.
   */
  private void diagnostics(Trainable.Builder built, Performer model, Outputs outputs) {
    var mask = outputs.mask();
    for (int i = 0; i < outputs.layers().size(); i++) {
      if (model.attention(i).mixer() instanceof HeadMixer.Favor favor) {
        Outputs.Layer layer = outputs.layers().get(i);
        FeatureMap.Features<TFloat32> features =
            favor
                .attention(tf, 0, favor.heads())
                .featureMap()
                .map(tf, layer.queries(), layer.keys(), mask);
        features = mask == null ? features : features.masked(tf, mask);
        String name = "layer_" + i + "/";
        built.diagnostic(name + "featureNorm", wide(norm(features.keys(), mask)));
        built.diagnostic(name + "featureRank", wide(rank(features.keys())));
      }
    }
  }

  private Operand<TFloat32> norm(Operand<TFloat32> keys, Operand<TFloat32> mask) {
    var lengths = tf.math.sqrt(tf.reduceSum(tf.math.square(keys), tf.constant(-1))); // [B, H, L]
    if (mask == null) {
      return tf.math.mean(lengths, tf.constant(new int[] {0, 1, 2}));
    }
    Operand<TFloat32> perHead = tf.math.mean(lengths, tf.constant(1)); // [B, L]
    var all = tf.constant(new int[] {0, 1});
    var sum = tf.reduceSum(tf.math.mul(perHead, mask), all);
    return tf.math.div(sum, tf.math.maximum(tf.reduceSum(mask, all), tf.constant(1f)));
  }

  private Operand<TFloat32> rank(Operand<TFloat32> keys) {
    var last = tf.constant(new int[] {2, 3});
    var sum = tf.reduceSum(tf.math.square(keys), last, ReduceSum.keepDims(true)); // [B, H, 1, 1]
    var unit = tf.math.divNoNan(keys, tf.math.sqrt(sum)); // so that tr(G) = 1
    var gram = tf.train.batchMatMul(unit, unit, TFloat32.class, BatchMatMul.adjX(true));
    var squares = tf.reduceSum(tf.math.square(gram), last); // [B, H, M, M] to [B, H]
    var ranks = tf.math.reciprocal(tf.math.maximum(squares, tf.constant(1e-12f)));
    return tf.math.mean(ranks, tf.constant(new int[] {0, 1}));
  }

  private Output<TFloat64> wide(Operand<TFloat32> x) {
    return tf.dtypes.cast(x, TFloat64.class).asOutput();
  }

  /** Whether the weights to begin with have no classifier of the configured sizes. */
  static boolean beginsClassifierAnew(PerformerConfig config, Map<String, NpyArray> start) {
    return !start.isEmpty()
        && Performer.shapes(config).entrySet().stream()
            .filter(v -> v.getKey().startsWith(CLASSIFIER))
            .anyMatch(v -> !isAlike(start.get(v.getKey()), v.getValue()));
  }

  private static boolean isAlike(NpyArray value, Shape shape) {
    return value != null && Shape.of(value.shape()).equals(shape);
  }

  private static void requireAlike(List<Variable> weights, Map<String, NpyArray> start) {
    for (Variable variable : weights) {
      NpyArray value = start.get(variable.name());
      String found = value == null ? "" : ": " + value + " for " + variable.shape();
      String what = value == null ? "no weight" : "another shape of";
      String text = "the model to start from has %s %s%s; its sizes must be the recipe's";
      PerformerException.require(
          isAlike(value, variable.shape()), text, what, variable.name(), found);
    }
  }
}
