package dev.performer.training;

import static dev.performer.PerformerException.require;

import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Recomputation;
import dev.performer.graph.Tensors;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.training.Measures.Tally;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.LongStream;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;

/**
 * A weighted sum of losses of an imported model's outputs, for models whose examples are arrays.
 * The graph stays the model's. An evaluation's loss is the mean over batches by their rows.
 */
public final class ImportedLoss {
  private static final Set<String> SHAPE_ONLY =
      Set.of("Identity", "Reshape", "Squeeze", "ExpandDims");

  private final Optional<Recomputation> parts;
  private final ImportedInputs inputs;
  private final List<LossTerm> terms;
  private final List<Target> of;
  private final ImportedLoss trained; // by another signature; null where it is this one
  private final Map<Target, Output<?>> targets = new LinkedHashMap<>();
  private final Output<TFloat32> weights; // [B]
  private final Output<TFloat32> loss;
  private final Output<TFloat64> sums;
  private final Output<TFloat32> each; // [2 * terms]

  /** A target as it is fed: ids of classes, or numbers; the shape of a row, which may lie flat. */
  private record Target(String name, boolean isOfIds, List<Long> row) {
    long[] shape(long rows) {
      return LongStream.concat(LongStream.of(rows), row.stream().mapToLong(n -> n)).toArray();
    }
  }

  private ImportedLoss(
      ImportedModel model,
      String signature,
      List<LossTerm> terms,
      List<Target> of,
      Optional<Recomputation> parts,
      ImportedLoss trained) {
    this.parts = parts;
    var outputs = terms.stream().map(LossTerm::output).toList();
    inputs = ImportedInputs.of(model, signature, null, null).inParts(outputs, parts);
    this.terms = terms;
    this.of = of;
    this.trained = trained;
    Ops tf = Ops.create(model.graph()).withSubScope(trained == null ? "loss" : "evaluation");
    weights =
        trained == null
            ? tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1))).asOutput()
            : trained.weights;
    targets.putAll(trained == null ? Map.of() : trained.targets);
    List<Operand<TFloat32>> summed = new ArrayList<>();
    Operand<TFloat32> total = null;
    for (int i = 0; i < terms.size(); i++) {
      LossTerm term = terms.get(i);
      Operand<TFloat32> output = inputs.output(tf, term.output());
      var type = of.get(i).isOfIds() ? TInt32.class : TFloat32.class;
      Operand<?> target =
          targets.computeIfAbsent(
              of.get(i), t -> tf.placeholder(type, Placeholder.shape(Shape.unknown())).asOutput());
      LossTerm.Sums own = term.build(tf, output, target, weights);
      summed.addAll(List.of(own.sum(), own.count()));
      var mean = tf.math.div(own.sum(), tf.math.maximum(own.count(), tf.constant(1e-9f)));
      var weighted = tf.math.mul(mean, tf.constant((float) term.weight()));
      total = total == null ? weighted : tf.math.add(total, weighted);
    }
    loss = tf.identity(total).asOutput();
    var rows = tf.reduceSum(tf.dtypes.cast(weights, TFloat64.class), tf.constant(0));
    var lost = tf.math.mul(tf.dtypes.cast(loss, TFloat64.class), rows);
    sums = tf.stack(List.of(lost, tf.constant(Double.NaN), rows)).asOutput();
    each = tf.stack(summed).asOutput();
  }

  /**
   * Adds losses to a model.
   *
   * @param first a batch, whose targets must fit the outputs that the model computes of it
   */
  public static ImportedLoss of(
      ImportedModel model, String signature, List<LossTerm> terms, LabelledBatch first) {
    return of(model, signature, terms, first, Memory.PLAIN);
  }

  /** The same where a step may keep less. */
  public static ImportedLoss of(
      ImportedModel model,
      String signature,
      List<LossTerm> terms,
      LabelledBatch first,
      Memory memory) {
    ImportedInputs inputs = ImportedInputs.of(model, signature, null, null);
    List<Target> targets = new ArrayList<>();
    for (LossTerm term : terms) {
      requireLogits(term, model.output(signature, term.output()));
      NpyArray target = first.arrays().get(term.target());
      long[] output = inputs.shape(term.output(), first);
      List<Long> row = LongStream.of(output).skip(1).boxed().toList();
      List<Long> ids = row.subList(0, Math.max(0, row.size() - 1));
      boolean isOfIds = term.kind().takesIds() && !isFloat(target) && fits(target, ids);
      String text =
          "the target %s does not fit the output %s %s of the loss %s; its rows must be %s";
      String name = term.target() + " " + target;
      String given = Arrays.toString(output);
      boolean fits = output.length > 0 && (isOfIds || fits(target, row));
      require(fits, text, name, term.output(), given, term.kind().label(), row);
      targets.add(new Target(term.target(), isOfIds, isOfIds ? ids : row));
    }
    var parts = memory.parts();
    var learnt = new ImportedLoss(model, signature, terms, targets, parts, null);
    return parts.isPresent() ? learnt.evaluatedBy(signature) : learnt;
  }

  /** The same losses where another signature with such inputs and outputs is evaluated. */
  public ImportedLoss evaluatedBy(String signature) {
    ImportedLoss learnt = trained == null ? this : trained;
    return new ImportedLoss(inputs.model(), signature, terms, of, Optional.empty(), learnt);
  }

  private static boolean fits(NpyArray target, List<Long> row) {
    List<Long> own = LongStream.of(target.shape()).skip(1).boxed().toList();
    long size = row.stream().reduce(1L, (x, y) -> x * y);
    return own.equals(row) || own.equals(List.of(size));
  }

  private static boolean isFloat(NpyArray array) {
    return array.type() == NpyType.FLOAT32 || array.type() == NpyType.FLOAT64;
  }

  /** Logits are no probabilities: what a softmax gave is not put through another. */
  private static void requireLogits(LossTerm term, Output<?> output) {
    Output<?> made = output;
    while (SHAPE_ONLY.contains(made.op().type())) {
      made = ((GraphOperation) made.op()).inputs().iterator().next().asOutput();
    }
    boolean isMade = made.op().type().equals("Softmax") || made.op().type().equals("Sigmoid");
    String text =
        "the output %s comes from a %s, so it has probabilities; take %s-of-probabilities";
    String kind = term.kind().label();
    require(!isMade || !term.kind().isOfLogits(), text, term.output(), made.op().type(), kind);
  }

  /** The graph with its loss; a new session has the model's stored values. */
  public Trainable trainable() {
    ImportedModel model = inputs.model();
    ImportedLoss learnt = trained == null ? this : trained;
    return Trainable.builder(model.graph(), model::variables, model::restore)
        .loss(learnt.loss)
        .sums(learnt.sums)
        .evaluation(sums)
        .parts(learnt.parts.orElse(Recomputation.NONE))
        .feed(batch -> feed(learnt, learnt.inputs.fit(inputs.fit(batch))))
        .measures(new Measures(Optional.of(each), Terms::new))
        .build();
  }

  private Feed feed(ImportedLoss learnt, LabelledBatch batch) {
    Feed feed = inputs.feed(learnt.inputs.feed(batch), batch);
    feed.put(weights, Tensors.of(batch.weights(), batch.rows()));
    targets.forEach(
        (target, placeholder) -> {
          NpyArray array = batch.arrays().get(target.name());
          feed.put(
              placeholder,
              target.isOfIds()
                  ? Tensors.of(array.ints(), target.shape(batch.rows()))
                  : Tensors.of(array.floats(), target.shape(batch.rows())));
        });
    return feed;
  }

  /** An output of a batch, in C order; null where it is not float32. */
  public static float[] output(
      ImportedModel model, String signature, Session session, LabelledBatch batch, String name) {
    ImportedInputs inputs = ImportedInputs.of(model, signature, null, null);
    return inputs.run(session, batch, model.output(signature, name)).values();
  }

  /** The mean of each loss over all that counts, where there are several. */
  private final class Terms implements Tally {
    private final double[] totals = new double[2 * terms.size()];

    @Override
    public void add(LabelledBatch batch, float[] own) {
      for (int i = 0; i < totals.length; i++) {
        totals[i] += own[i];
      }
    }

    @Override
    public Map<String, Double> result(double whole) {
      Map<String, Double> means = new TreeMap<>();
      for (int i = 0; terms.size() > 1 && i < terms.size(); i++) {
        LossTerm term = terms.get(i);
        double mean = totals[2 * i] / totals[2 * i + 1];
        means.merge(term.output() + "." + term.kind().label(), mean, Double::sum);
      }
      return means;
    }
  }
}
