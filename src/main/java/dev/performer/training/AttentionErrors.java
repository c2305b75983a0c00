package dev.performer.training;

import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.AttentionConfig;
import dev.performer.model.Inputs;
import dev.performer.model.Mode;
import dev.performer.model.Outputs;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * How far FAVOR+ is from exact attention on the queries, keys and values that a model has on given
 * sequences, layer by layer.
 *
 * @param model as it computes them
 * @param weights all its variables, by name
 * @param draws fresh projections behind the expected error
 */
public record AttentionErrors(PerformerConfig model, Map<String, NpyArray> weights, int draws) {

  /**
   * One layer.
   *
   * @param layer its number
   * @param queryNorm mean length of real tokens' queries
   * @param keyNorm of their keys
   * @param largestLogit largest |q·k|/√D between real tokens
   * @param expected error relative to exact attention's output, root mean square over fresh draws
   * @param measured the same with the layer's own projection; FAVOR+ for all heads, those that a
   *     model keeps exact too
   */
  public record Row(
      int layer,
      double queryNorm,
      double keyNorm,
      double largestLogit,
      double expected,
      double measured) {}

  /**
   * Measures.
   *
   * @param favor the attention of each layer that is tried
   * @param projections {@code [M, D]} of each layer
   * @param tokens {@code [B, L]}
   * @param real 1 where a token is real, {@code [B, L]}
   */
  public List<Row> measure(
      List<AttentionConfig.Favor> favor,
      List<float[]> projections,
      int[][] tokens,
      float[][] real) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.shapes(model)
          .forEach((name, shape) -> variables.declare(name, TFloat32.class, shape, false));
      for (Variable variable : variables.all()) {
        assign(tf, session, variables, variable);
      }
      Operand<TInt32> ids = tf.constant(tokens);
      Operand<TFloat32> mask = tf.constant(real);
      Outputs outputs =
          Performer.over(model, variables::get).apply(tf, Inputs.of(ids, mask), Mode.inference());
      List<Row> rows = new ArrayList<>();
      for (int i = 0; i < model.layers(); i++) {
        rows.add(
            row(tf, session, i, outputs.layers().get(i), mask, favor.get(i), projections.get(i)));
      }
      return rows;
    }
  }

  private void assign(Ops tf, Session session, Variables variables, Variable variable) {
    Operand<TFloat32> value = tf.placeholder(TFloat32.class, Placeholder.shape(variable.shape()));
    NpyArray array = weights.get(variable.name());
    try (Tensor tensor = Tensors.ofBytes(DataType.DT_FLOAT, variable.shape(), array.buffer())) {
      session
          .runner()
          .feed(value, tensor)
          .addTarget(variables.assign(variable, value))
          .run()
          .close();
    }
  }

  private Row row(
      Ops tf,
      Session session,
      int layer,
      Outputs.Layer in,
      Operand<TFloat32> mask,
      AttentionConfig.Favor favor,
      float[] own) {
    int size = model.headSize();
    Operand<TFloat32> p =
        tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(favor.features(), size)));
    Operand<TFloat32> exact =
        new ExactAttention(favor.causal())
            .attend(tf, in.queries(), in.keys(), in.values(), mask); // [B, H, L, D]
    Operand<TFloat32> estimate =
        FavorAttention.of(favor.favorConfig(), p)
            .attend(tf, in.queries(), in.keys(), in.values(), mask); // [B, H, L, D]
    Operand<TFloat32> rows =
        tf.expandDims(tf.expandDims(mask, tf.constant(1)), tf.constant(3)); // [B, 1, L, 1]
    var all = tf.constant(new int[] {0, 1, 2, 3});
    Operand<TFloat32> difference = tf.math.mul(tf.math.sub(estimate, exact), rows);
    Operand<TFloat32> error =
        tf.math.div(
            tf.reduceSum(tf.math.square(difference), all),
            tf.reduceSum(tf.math.square(tf.math.mul(exact, rows)), all));
    float[] q;
    float[] k;
    float[] m;
    Shape shape;
    try (Result r = session.runner().fetch(in.queries()).fetch(in.keys()).fetch(mask).run()) {
      q = Tensors.floats(r.get(0));
      k = Tensors.floats(r.get(1));
      m = Tensors.floats(r.get(2));
      shape = r.get(0).shape();
    }
    double sum = 0;
    for (int i = 0; i < draws; i++) {
      sum +=
          error(
              session,
              error,
              p,
              favor.projection(size).draw(favor.seed() + 1_000_003L * (i + 1)),
              favor);
    }
    double measured = Math.sqrt(error(session, error, p, own, favor));
    return new Row(
        layer,
        norm(q, m, shape),
        norm(k, m, shape),
        largest(q, k, m, shape, favor.causal()),
        Math.sqrt(sum / draws),
        measured);
  }

  private double error(
      Session session,
      Operand<TFloat32> error,
      Operand<TFloat32> p,
      float[] projection,
      AttentionConfig.Favor favor) {
    try (Tensor matrix = Tensors.of(projection, favor.features(), model.headSize());
        Result r = session.runner().feed(p, matrix).fetch(error).run()) {
      return Tensors.floats(r.get(0))[0];
    }
  }

  private static double norm(float[] x, float[] mask, Shape shape) {
    int heads = (int) shape.get(1);
    int length = (int) shape.get(2);
    int size = (int) shape.get(3);
    double sum = 0;
    int count = 0;
    for (int row = 0; row < x.length / size; row++) {
      int batch = row / (heads * length);
      if (mask[batch * length + row % length] != 0) {
        sum += Math.sqrt(dot(x, row, x, row, size));
        count++;
      }
    }
    return sum / count;
  }

  private static double largest(float[] q, float[] k, float[] mask, Shape shape, boolean causal) {
    int heads = (int) shape.get(1);
    int length = (int) shape.get(2);
    int size = (int) shape.get(3);
    double largest = 0;
    for (int row = 0; row < q.length / size; row++) {
      int at = row % length;
      int first = row - at;
      int tokens = row / (heads * length) * length;
      for (int j = 0; mask[tokens + at] != 0 && j < (causal ? at + 1 : length); j++) {
        if (mask[tokens + j] != 0) {
          largest = Math.max(largest, Math.abs(dot(q, row, k, first + j, size)));
        }
      }
    }
    return largest / Math.sqrt(size);
  }

  private static double dot(float[] a, int rowA, float[] b, int rowB, int size) {
    double sum = 0;
    for (int i = 0; i < size; i++) {
      sum += a[rowA * size + i] * b[rowB * size + i];
    }
    return sum;
  }
}
