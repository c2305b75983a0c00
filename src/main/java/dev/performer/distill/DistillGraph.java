package dev.performer.distill;

import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.nn.Dropout;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.training.Feed;
import dev.performer.training.LabelledBatch;
import dev.performer.training.Trainable;
import java.util.HashMap;
import java.util.LinkedHashMap;
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
 */
final class DistillGraph implements AutoCloseable {
  /** Names of the teacher's variables begin thus. */
  static final String TEACHER = "teacher/";

  private final Graph graph = new Graph();
  private final DistillModels models;
  private final Map<String, Variable> student;
  private final Variables teacher;
  private final DistillLoss.Batch inputs;
  private final DistillLoss loss;
  private final Output<TFloat32> studentOutput;

  DistillGraph(DistillModels models, DistillRecipe recipe) {
    this.models = models;
    try {
      Ops tf = Ops.create(graph);
      var anyBatch = Placeholder.shape(Shape.of(-1, -1));
      inputs =
          new DistillLoss.Batch(
              tf.placeholder(TInt32.class, anyBatch),
              tf.placeholder(TFloat32.class, anyBatch),
              tf.placeholder(TInt32.class, anyBatch),
              tf.placeholder(TFloat32.class, anyBatch));
      student = studentVariables(tf, recipe.weights());
      teacher = new Variables(tf);
      PerformerConfig taughtBy = models.teacher().config();
      Performer.shapes(taughtBy)
          .forEach((name, shape) -> teacher.declare(TEACHER + name, TFloat32.class, shape, false));
      Outputs learned = apply(tf.withSubScope("student"), models.config(), student::get);
      studentOutput = (learned.logits() == null ? learned.sequence() : learned.logits()).asOutput();
      var taught = apply(tf.withSubScope("teacher"), taughtBy, name -> teacher.get(TEACHER + name));
      Ops distill = tf.withSubScope("distill");
      loss = DistillLoss.build(distill, models.config(), recipe.loss(), learned, taught, inputs);
    } catch (RuntimeException e) {
      graph.close();
      throw e;
    }
  }

  Graph graph() {
    return graph;
  }

  /** The student's variables, with their keys in its SavedModel. */
  List<Variable> student() {
    return List.copyOf(student.values());
  }

  List<Variable> teacher() {
    return teacher.all();
  }

  /** Student and loss, as a trainer takes them; its sums are the loss of one batch. */
  Trainable trainable() {
    Ops tf = Ops.create(graph).withSubScope("sums");
    var wide = tf.dtypes.cast(loss.loss(), TFloat64.class);
    Output<TFloat64> sums =
        tf.stack(List.of(wide, tf.constant(Double.NaN), tf.constant(1.0))).asOutput();
    return Trainable.builder(graph, this::student, this::initialize)
        .loss(loss.loss())
        .sums(sums)
        .feed(this::feed)
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

  /** Logits, or last states where there are none. */
  Output<TFloat32> studentOutput() {
    return studentOutput;
  }

  DistillLoss loss() {
    return loss;
  }

  /** Gives all variables the values that were read. */
  void initialize(Session session) {
    Ops tf = Ops.create(graph).withSubScope("read");
    PerformerModels.assign(tf, session, student(), models.student().weights());
    Map<String, NpyArray> theirs = new HashMap<>();
    models.teacher().weights().forEach((name, value) -> theirs.put(TEACHER + name, value));
    PerformerModels.assign(tf, session, teacher.all(), theirs);
  }

  @Override
  public void close() {
    graph.close();
  }

  private Map<String, Variable> studentVariables(Ops tf, DistillRecipe.Weights which) {
    Map<String, String> keys = new HashMap<>();
    SavedModelDirectory.open(models.studentPath())
        .variables()
        .forEach(v -> keys.put(v.name(), v.checkpointKey()));
    Variables declared = new Variables(tf);
    Map<String, Variable> byName = new LinkedHashMap<>();
    for (var shape : Performer.shapes(models.config()).entrySet()) {
      String name = shape.getKey();
      boolean isTrained = isTrained(name, which);
      Variable own = declared.declare(name, TFloat32.class, shape.getValue(), isTrained);
      byName.put(name, own.withCheckpointKey(keys.get(name)));
    }
    return byName;
  }

  private static boolean isTrained(String name, DistillRecipe.Weights which) {
    return PerformerModels.isProjection(name)
        ? which.projections()
        : which.embeddings() || !name.startsWith("embeddings/");
  }

  /** As the model's signatures feed it: encoders get a mask, others know padding by its id. */
  private Outputs apply(Ops tf, PerformerConfig config, Function<String, Variable> variables) {
    Operand<TFloat32> mask = config.task() == Task.ENCODER ? inputs.mask() : null;
    return Performer.over(config, variables)
        .apply(tf, Inputs.of(inputs.tokens(), mask), Dropout.none());
  }
}
