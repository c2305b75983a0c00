package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.GraphOptions;
import org.tensorflow.proto.RewriterConfig;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TType;

/** A model in a session, its inputs placeholders of unknown batch and length. */
final class ModelRun implements AutoCloseable {
  // Optimizing a graph takes longer than running it once.
  private static final ConfigProto PLAIN =
      ConfigProto.newBuilder()
          .setGraphOptions(
              GraphOptions.newBuilder()
                  .setRewriteOptions(RewriterConfig.newBuilder().setDisableMetaOptimizer(true)))
          .build();

  final Graph graph = new Graph();
  final Ops tf = Ops.create(graph);
  final Variables variables = new Variables(tf);
  final PerformerConfig config;
  final Performer performer;
  private final Session session;
  private final Map<String, Setter> setters = new LinkedHashMap<>();
  private final Map<String, Operand<TFloat32>> reads = new LinkedHashMap<>();

  ModelRun(PerformerConfig config) {
    this(config, 7);
  }

  ModelRun(PerformerConfig config, long seed) {
    this.config = config;
    performer = Performer.build(tf, variables, config, seed);
    session = new Session(graph, PLAIN);
    variables.initialize(session);
  }

  /** An int32 input {@code [B, L]}. */
  Operand<TInt32> ints() {
    return tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1, -1)));
  }

  /** A float32 input of unknown sizes. */
  Operand<TFloat32> floats(int rank) {
    long[] shape = new long[rank];
    Arrays.fill(shape, -1);
    return tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(shape)));
  }

  /** A seed of dropout. */
  Operand<TInt64> seed() {
    return tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(2)));
  }

  /** Sets variables; every one must be named and of the right shape. */
  void load(Map<String, NpyArray> weights) {
    Map<String, Shape> expected = Performer.shapes(config);
    assertThat(expected.keySet()).containsAll(weights.keySet());
    List<String> missing = new ArrayList<>(expected.keySet());
    missing.removeAll(weights.keySet());
    assertThat(missing).allMatch(name -> name.endsWith("projection"));
    Map<String, float[]> values = new LinkedHashMap<>();
    weights.forEach(
        (name, array) -> {
          assertThat(Shape.of(array.shape())).as(name).isEqualTo(expected.get(name));
          values.put(name, array.floats());
        });
    set(values);
  }

  /** Sets variables. */
  void set(Map<String, float[]> values) {
    if (setters.isEmpty()) {
      for (Variable variable : variables.all()) {
        Operand<TFloat32> fed = tf.placeholder(TFloat32.class, Placeholder.shape(variable.shape()));
        setters.put(variable.name(), new Setter(fed, Variables.assign(tf, variable, fed)));
      }
    }
    List<Tensor> owned = new ArrayList<>();
    try {
      Session.Runner runner = session.runner();
      values.forEach(
          (name, value) -> {
            Tensor tensor = Tensors.of(value, variables.get(name).shape().asArray());
            owned.add(tensor);
            runner.feed(setters.get(name).fed(), tensor).addTarget(setters.get(name).assign());
          });
      runner.run().close();
    } finally {
      owned.forEach(Tensor::close);
    }
  }

  private record Setter(Operand<TFloat32> fed, Op assign) {}

  /** Runs ops. */
  void target(List<? extends Op> ops) {
    Session.Runner runner = session.runner();
    ops.forEach(runner::addTarget);
    runner.run().close();
  }

  /** The value of one variable. */
  float[] value(String name) {
    return values().get(name);
  }

  /** The values of all variables. */
  Map<String, float[]> values() {
    if (reads.isEmpty()) {
      variables.all().forEach(variable -> reads.put(variable.name(), variable.read(tf)));
    }
    List<float[]> read = run(Map.of(), List.copyOf(reads.values()));
    Map<String, float[]> values = new LinkedHashMap<>();
    for (String name : reads.keySet()) {
      values.put(name, read.get(values.size()));
    }
    return values;
  }

  /** Gradients of a scalar, by the names of trainable variables; all must exist. */
  Map<String, Operand<TFloat32>> gradients(Operand<TFloat32> loss, List<String> names) {
    Output<?>[] xs =
        names.stream().map(name -> variables.get(name).handle()).toArray(Output<?>[]::new);
    Output<?>[] made = graph.addGradients(loss.asOutput(), xs);
    Map<String, Operand<TFloat32>> gradients = new LinkedHashMap<>();
    for (int i = 0; i < made.length; i++) {
      gradients.put(names.get(i), floats(made[i]));
    }
    return gradients;
  }

  @SuppressWarnings("unchecked")
  private static Operand<TFloat32> floats(Output<?> output) {
    return (Operand<TFloat32>) output;
  }

  /** Names of the trainable variables. */
  List<String> trainable() {
    return variables.trainable().stream().map(Variable::name).toList();
  }

  /** Evaluates float operands. */
  List<float[]> run(Map<? extends Operand<?>, NpyArray> feeds, List<? extends Operand<?>> fetches) {
    return run(feeds, fetches, List.of(), Tensors::floats);
  }

  /** Evaluates float operands as an op runs. */
  List<float[]> run(
      Map<? extends Operand<?>, NpyArray> feeds, List<? extends Operand<?>> fetches, Op target) {
    return run(feeds, fetches, List.of(target), Tensors::floats);
  }

  /** Does something with the session. */
  void with(Consumer<Session> action) {
    action.accept(session);
  }

  /** The shape of one operand's value. */
  Shape shape(Map<? extends Operand<?>, NpyArray> feeds, Operand<?> fetch) {
    return run(feeds, List.of(fetch), List.of(), Tensor::shape).get(0);
  }

  private <R> List<R> run(
      Map<? extends Operand<?>, NpyArray> feeds,
      List<? extends Operand<?>> fetches,
      List<? extends Op> targets,
      Function<Tensor, R> read) {
    List<Tensor> owned = new ArrayList<>();
    try {
      Session.Runner runner = session.runner();
      feeds.forEach(
          (placeholder, array) -> {
            Tensor tensor = tensor(placeholder, array);
            owned.add(tensor);
            runner.feed(placeholder, tensor);
          });
      fetches.forEach(runner::fetch);
      targets.forEach(runner::addTarget);
      try (Result result = runner.run()) {
        List<R> values = new ArrayList<>();
        for (int i = 0; i < fetches.size(); i++) {
          values.add(read.apply(result.get(i)));
        }
        return values;
      }
    } finally {
      owned.forEach(Tensor::close);
    }
  }

  private static Tensor tensor(Operand<?> placeholder, NpyArray array) {
    Class<? extends TType> type = placeholder.asOutput().type();
    if (type == TInt64.class) {
      return Tensors.of(array.longs(), array.shape());
    }
    if (type == TFloat64.class) {
      return Tensors.of(array.doubles(), array.shape());
    }
    if (array.type() == NpyType.INT32 && type == TFloat32.class) {
      int[] ints = array.ints();
      float[] floats = new float[ints.length];
      for (int i = 0; i < ints.length; i++) {
        floats[i] = ints[i];
      }
      return Tensors.of(floats, array.shape());
    }
    return array.type() == NpyType.INT32
        ? Tensors.of(array.ints(), array.shape())
        : Tensors.of(array.floats(), array.shape());
  }

  /** The largest difference, relative to the largest expected value. */
  static double error(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    double scale = 0;
    double difference = 0;
    for (int i = 0; i < expected.length; i++) {
      assertThat(actual[i]).isFinite();
      scale = Math.max(scale, Math.abs(expected[i]));
      difference = Math.max(difference, Math.abs(actual[i] - expected[i]));
    }
    return scale == 0 ? difference : difference / scale;
  }

  @Override
  public void close() {
    session.close();
    graph.close();
  }
}
