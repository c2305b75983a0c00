package dev.performer.distill;

import dev.performer.data.NpyArray;
import dev.performer.graph.Recomputation;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Dropout;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.Feed;
import dev.performer.training.LabelledBatch;
import dev.performer.training.Memory;
import dev.performer.training.Trainable;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Graph;
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
 * Student and teacher in one graph, and the distance between them. Closing it frees the graph;
 * close sessions first.
 *
 * @param studentOutput logits, or last states where there are none
 */
record DistillGraph(
    Graph graph,
    DistillModels models,
    StudentVariables variables,
    List<Variable> teacher,
    DistillLoss.Batch inputs,
    DistillLoss loss,
    Output<TFloat32> studentOutput,
    Recomputation parts)
    implements AutoCloseable {
  /** Names of the teacher's variables begin thus. */
  static final String TEACHER = "teacher/";

  static DistillGraph of(DistillModels models, DistillRecipe recipe) {
    Graph graph = new Graph();
    try {
      Ops tf = Ops.create(graph);
      var anyBatch = Placeholder.shape(Shape.of(-1, -1));
      var inputs =
          new DistillLoss.Batch(
              tf.placeholder(TInt32.class, anyBatch),
              tf.placeholder(TFloat32.class, anyBatch),
              tf.placeholder(TInt32.class, anyBatch),
              tf.placeholder(TFloat32.class, anyBatch));
      var student = StudentVariables.of(tf, models, recipe);
      Variables teacher = new Variables(tf);
      PerformerConfig ours = models.config();
      PerformerConfig theirs = models.teacher().config();
      Performer.shapes(theirs)
          .forEach((name, shape) -> teacher.declare(TEACHER + name, TFloat32.class, shape, false));
      boolean again = recipe.training().memory() == Memory.RECOMPUTE;
      var parts = again ? new Recomputation() : Recomputation.NONE;
      Ops own = tf.withSubScope("student");
      Outputs learned = apply(own, ours, inputs, student.read()::get, again ? parts : null);
      Ops scope = tf.withSubScope("teacher");
      Outputs taught = apply(scope, theirs, inputs, name -> teacher.get(TEACHER + name), null);
      Ops distill = tf.withSubScope("distill");
      var loss = DistillLoss.build(distill, ours, recipe.loss(), learned, taught, inputs);
      var output = learned.logits() == null ? learned.sequence() : learned.logits();
      return new DistillGraph(
          graph, models, student, teacher.all(), inputs, loss, output.asOutput(), parts);
    } catch (RuntimeException e) {
      graph.close();
      throw e;
    }
  }

  /** Student and loss, as a trainer takes them; its sums are the loss of one batch. */
  Trainable trainable() {
    Ops tf = Ops.create(graph).withSubScope("sums");
    var wide = tf.dtypes.cast(loss.loss(), TFloat64.class);
    Output<TFloat64> sums =
        tf.stack(List.of(wide, tf.constant(Double.NaN), tf.constant(1.0))).asOutput();
    return Trainable.builder(graph, variables::all, this::initialize)
        .loss(loss.loss())
        .sums(sums)
        .feed(this::feed)
        .parts(parts)
        .activation("the student", studentOutput)
        .build();
  }

  /** The tensors of a batch, for student and teacher. */
  Feed feed(LabelledBatch batch) {
    long[] shape = {batch.rows(), batch.length()};
    return new Feed()
        .put(inputs.tokens(), batch.inputs(), shape)
        .put(inputs.mask(), batch.mask(), shape)
        .put(inputs.targets(), batch.targets(), shape)
        .put(inputs.weights(), Tensors.of(batch.weights(), shape));
  }

  /** The student's variables, with their keys in its SavedModel. */
  List<Variable> student() {
    return variables.stored();
  }

  /** Adds low-rank factors to the weights that they stand beside, if there are any. */
  void merge(Session session) {
    variables.factors().ifPresent(factors -> factors.merge(session));
  }

  /** Gives all variables the values that were read. */
  void initialize(Session session) {
    Ops tf = Ops.create(graph).withSubScope("read");
    PerformerModels.assign(tf, session, student(), models.student().weights());
    variables.factors().ifPresent(factors -> factors.initialize(session));
    Map<String, NpyArray> theirs = new HashMap<>();
    models.teacher().weights().forEach((name, value) -> theirs.put(TEACHER + name, value));
    PerformerModels.assign(tf, session, teacher, theirs);
  }

  @Override
  public void close() {
    graph.close();
  }

  /** As the model's signatures feed it: encoders get a mask, others know padding by its id. */
  private static Outputs apply(
      Ops tf,
      PerformerConfig config,
      DistillLoss.Batch inputs,
      Function<String, Variable> named,
      Recomputation parts) {
    Operand<TFloat32> mask = config.task() == Task.ENCODER ? inputs.mask() : null;
    return Performer.learned(config, named, Precision.FLOAT32)
        .apply(tf, Inputs.of(inputs.tokens(), mask), Dropout.none(), parts);
  }
}
