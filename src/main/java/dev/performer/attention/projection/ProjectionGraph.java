package dev.performer.attention.projection;

import dev.performer.graph.Tensors;
import java.util.List;
import java.util.function.Function;
import org.tensorflow.DeviceSpec;
import org.tensorflow.DeviceSpec.DeviceType;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.op.linalg.Qr;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.family.TFloating;

/** Draws projections with TensorFlow's own kernels in a graph of their own. */
final class ProjectionGraph {
  private ProjectionGraph() {}

  /** Builds an expression in a fresh graph and evaluates it once. */
  static float[] evaluate(Function<Ops, Operand<TFloat32>> expression) {
    try (Graph graph = new Graph()) {
      // The streams are promised for the CPU's kernels; QR's signs are the CPU's.
      var cpu = DeviceSpec.newBuilder().deviceType(DeviceType.CPU).deviceIndex(0).build();
      Ops tf = Ops.create(graph).withDevice(cpu);
      Operand<TFloat32> value = expression.apply(tf);
      try (Session session = new Session(graph);
          Result result = session.runner().fetch(value).run()) {
        return Tensors.floats(result.get(0));
      }
    }
  }

  /** Orthonormal rows of {@code [D, D]} or {@code [N, D, D]}: Q transposed, with QR's signs. */
  static <T extends TFloating> Operand<T> orthonormalRows(Ops tf, Operand<T> gaussian) {
    Operand<T> q = tf.linalg.qr(gaussian, Qr.fullMatrices(false)).q();
    boolean isOne = gaussian.shape().numDimensions() == 2;
    return tf.linalg.transpose(q, isOne ? tf.array(1, 0) : tf.array(0, 2, 1));
  }

  /** Euclidean norms along an axis, which stays with size 1. */
  static Operand<TFloat32> norms(Ops tf, Operand<TFloat32> x, int axis) {
    return tf.math.sqrt(tf.reduceSum(tf.math.square(x), tf.array(axis), ReduceSum.keepDims(true)));
  }

  /** The first {@code rows} rows of stacked blocks. */
  static Operand<TFloat32> stack(Ops tf, List<Operand<TFloat32>> blocks, int rows) {
    var all = blocks.size() == 1 ? blocks.get(0) : tf.concat(blocks, tf.constant(0)); // [N*D, D]
    return tf.slice(all, tf.array(0, 0), tf.array(rows, -1));
  }
}
