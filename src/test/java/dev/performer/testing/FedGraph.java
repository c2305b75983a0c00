package dev.performer.testing;

import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Tensors;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.GraphOptions;
import org.tensorflow.proto.RewriterConfig;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** A graph whose placeholders are fed from reference arrays. */
public final class FedGraph implements AutoCloseable {
  // Optimizing a graph takes longer than running it once.
  private static final ConfigProto PLAIN =
      ConfigProto.newBuilder()
          .setGraphOptions(
              GraphOptions.newBuilder()
                  .setRewriteOptions(RewriterConfig.newBuilder().setDisableMetaOptimizer(true)))
          .build();

  private final Graph graph = new Graph();
  private final Map<Operand<?>, NpyArray> feeds = new LinkedHashMap<>();
  public final Ops tf = Ops.create(graph);

  /** A float placeholder with its static shape. */
  public Operand<TFloat32> feed(NpyArray array) {
    return feed(array, Shape.of(array.shape()));
  }

  /** A float placeholder that does not know its first {@code unknown} sizes. */
  public Operand<TFloat32> feed(NpyArray array, int unknown) {
    long[] shape = array.shape().clone();
    for (int i = 0; i < unknown; i++) {
      shape[i] = -1;
    }
    return feed(array, Shape.of(shape));
  }

  private Operand<TFloat32> feed(NpyArray array, Shape shape) {
    Operand<TFloat32> placeholder = tf.placeholder(TFloat32.class, Placeholder.shape(shape));
    feeds.put(placeholder, array);
    return placeholder;
  }

  public Operand<TInt32> feedInts(NpyArray array) {
    Operand<TInt32> placeholder =
        tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(array.shape())));
    feeds.put(placeholder, array);
    return placeholder;
  }

  /** Evaluates one float operand twice in one session. */
  public List<float[]> runTwice(Operand<?> fetch) {
    List<float[]> values = new ArrayList<>();
    try (Session session = new Session(graph, PLAIN)) {
      for (int i = 0; i < 2; i++) {
        try (Result result = session.runner().fetch(fetch).run()) {
          values.add(Tensors.floats(result.get(0)));
        }
      }
    }
    return values;
  }

  /** Evaluates one float64 operand that depends on no feed. */
  public double[] runDoubles(Operand<?> fetch) {
    try (Session session = new Session(graph, PLAIN);
        Result result = session.runner().fetch(fetch).run()) {
      return Tensors.doubles(result.get(0));
    }
  }

  /** Gradients of {@code sum(y * upstream)} over all pairs. */
  public List<Output<?>> gradients(
      List<? extends Operand<?>> ys,
      List<? extends Operand<?>> upstream,
      List<? extends Operand<?>> xs) {
    Output<?>[] made = graph.addGradients("gradients", outputs(ys), outputs(xs), outputs(upstream));
    return List.of(made);
  }

  private static Output<?>[] outputs(List<? extends Operand<?>> operands) {
    return operands.stream().map(Operand::asOutput).toArray(Output<?>[]::new);
  }

  /** Evaluates float operands. */
  public List<float[]> run(List<? extends Operand<?>> fetches) {
    List<Tensor> owned = new ArrayList<>();
    try (Session session = new Session(graph, PLAIN)) {
      Session.Runner runner = session.runner();
      feeds.forEach(
          (placeholder, array) -> {
            Tensor tensor =
                array.type() == NpyType.INT32
                    ? Tensors.of(array.ints(), array.shape())
                    : Tensors.of(array.floats(), array.shape());
            owned.add(tensor);
            runner.feed(placeholder, tensor);
          });
      fetches.forEach(runner::fetch);
      try (Result result = runner.run()) {
        List<float[]> values = new ArrayList<>();
        for (int i = 0; i < fetches.size(); i++) {
          values.add(Tensors.floats(result.get(i)));
        }
        return values;
      }
    } finally {
      owned.forEach(Tensor::close);
    }
  }

  @Override
  public void close() {
    graph.close();
  }
}
