package dev.performer.graph;

import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import org.tensorflow.GraphOperation;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;

/**
 * Batched matrix products in the version of the op that oneDNN computes, gradients included.
 *
 * <p>TensorFlow Java's op and the gradients in TensorFlow's C++ registry are of version 3, which
 * oneDNN leaves alone; many small products take twice the time there. So a product goes through an
 * {@code IdentityN} with its factors, which alone can have a rule of ours. In Python it passes
 * gradients on, and they are the same.
 */
final class BatchProduct {
  private static final String OP = "BatchMatMulV2";
  private static final String THIRD = "BatchMatMulV3";

  private BatchProduct() {}

  /** The product of x and y, each transposed or not. */
  static Output<?> add(Ops tf, Output<?> x, Output<?> y, boolean transposeX, boolean transposeY) {
    if (isOne(x, transposeX ? 1 : 2) || isOne(y, transposeY ? 2 : 1)) {
      var attributes = transposed(transposeX, transposeY, x.dataType());
      return new RawOps(tf).op(THIRD, attributes, x, y);
    }
    IdentityGradient.register();
    Output<?> product = new RawOps(tf).matMul(x, y, transposeX, transposeY);
    return tf.identityN(List.of(product, x, y)).output().get(0);
  }

  /** Whether there is one row or column: version 3 has a kernel for vectors, much the faster. */
  private static boolean isOne(Output<?> matrix, int axisFromEnd) {
    Shape shape = matrix.shape();
    int rank = shape.numDimensions();
    return rank >= 2 && shape.get(rank - axisFromEnd) == 1;
  }

  private static UnaryOperator<OperationBuilder> transposed(
      boolean isTurnedX, boolean isTurnedY, DataType type) {
    return b -> b.setAttr("adj_x", isTurnedX).setAttr("adj_y", isTurnedY).setAttr("Tout", type);
  }

  /** Whether this is the {@code IdentityN} of a product. */
  static boolean isProduct(GraphOperation node) {
    return node.numInputs() == 3
        && node.input(0).op() instanceof GraphOperation product
        && product.type().equals(OP)
        && product.input(0).equals(node.input(1))
        && product.input(1).equals(node.input(2));
  }

  /** Of the product itself, none, and of its factors. */
  static List<Output<?>> gradients(NodeGradient of) {
    GraphOperation product = (GraphOperation) of.x.op();
    Output<?> x = of.y;
    Output<?> y = of.input(2);
    boolean isTurnedX = product.attributes().getAttrBool("adj_x");
    boolean isTurnedY = product.attributes().getAttrBool("adj_y");
    Output<?> ofX = isTurnedX ? of.matMul(y, of.dy, isTurnedY, true) : ofLeft(of, y, isTurnedY);
    Output<?> ofY =
        isTurnedY ? of.matMul(of.dy, x, true, isTurnedX) : of.matMul(x, of.dy, !isTurnedX, false);
    return Arrays.asList(null, of.unbroadcastBatch(ofX, x), of.unbroadcastBatch(ofY, y));
  }

  /**
   * Of a left factor that is not transposed. In the gradient of weights, x y, most terms cancel;
   * there version 3, whose sums were nearer to float64, costs little more.
   */
  private static Output<?> ofLeft(NodeGradient of, Output<?> y, boolean isTurnedY) {
    return isTurnedY ? of.matMul(of.dy, y, false, false) : nearer(of, of.dy, y);
  }

  /** {@code x yᵀ} by version 3. */
  static Output<?> nearer(RawOps ops, Output<?> x, Output<?> y) {
    return ops.op(THIRD, transposed(false, true, y.dataType()), x, y);
  }
}
