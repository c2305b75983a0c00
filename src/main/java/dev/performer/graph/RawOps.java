package dev.performer.graph;

import java.util.List;
import java.util.function.UnaryOperator;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;

/**
 * Ops by their type name, for tensors of any type; TensorFlow infers type attributes from inputs.
 */
class RawOps {
  private final Ops tf;

  RawOps(Ops tf) {
    this.tf = tf;
  }

  /** Where there is no gradient, TensorFlow returns an output without an operation. */
  static boolean isPresent(Output<?> gradient) {
    try {
      return gradient != null && gradient.op().type() != null;
    } catch (RuntimeException noOperation) {
      return false;
    }
  }

  Output<?> orZeros(Output<?> gradient, Output<?> like) {
    return isPresent(gradient) ? gradient : op("ZerosLike", like);
  }

  Output<?> op(String type, Output<?>... inputs) {
    return builder(type, inputs).build().output(0);
  }

  Output<?> op(String type, UnaryOperator<OperationBuilder> attributes, Output<?>... inputs) {
    return attributes.apply(builder(type, inputs)).build().output(0);
  }

  OperationBuilder builder(String type, Output<?>... inputs) {
    OperationBuilder builder = tf.scope().opBuilder(type, type);
    List.of(inputs).forEach(builder::addInput);
    return builder;
  }

  Output<?> scalar(double value, Output<?> like) {
    Output<?> wide = tf.constant(value).asOutput();
    return like.dataType() == DataType.DT_DOUBLE ? wide : cast(wide, like);
  }

  Output<?> cast(Output<?> value, Output<?> like) {
    return op("Cast", builder -> builder.setAttr("DstT", like.dataType()), value);
  }

  Output<?> ints(int... values) {
    return tf.constant(values).asOutput();
  }

  Output<?> integer(int value) {
    return tf.constant(value).asOutput();
  }

  Output<?> concat(Output<?>... parts) {
    return builder("ConcatV2").addInputList(parts).addInput(integer(0)).build().output(0);
  }

  /** Dimensions {@code [from, to)} of a shape vector. */
  Output<?> slice(Output<?> vector, int from, int to) {
    return op("Slice", vector, ints(from), ints(to - from));
  }

  Output<?> mul(Output<?> x, Output<?> y) {
    return op("Mul", x, y);
  }

  Output<?> mul(double factor, Output<?> x) {
    return op("Mul", scalar(factor, x), x);
  }

  /** value − x. */
  Output<?> minus(double value, Output<?> x) {
    return op("Sub", scalar(value, x), x);
  }

  /** An op between real and complex numbers in double precision. */
  Output<?> wide(String type, Output<?>... inputs) {
    DataType out = type.equals("Complex") ? DataType.DT_COMPLEX128 : DataType.DT_DOUBLE;
    return op(type, builder -> builder.setAttr("Tout", out), inputs);
  }

  Output<?> number(double value) {
    return tf.constant(value).asOutput();
  }

  /** Of all elements. */
  Output<?> sum(Output<?> all) {
    return op("Sum", all, range(op("Rank", all)));
  }

  /** Rows of {@code [N, …]} by any indices. */
  Output<?> gather(Output<?> rows, Output<?> indices) {
    return op("GatherV2", rows, indices, integer(0));
  }

  /** Along the last dimension. */
  Output<?> gatherLast(Output<?> x, Output<?> indices) {
    return op("GatherV2", x, indices, integer(-1));
  }

  /** The last size of a tensor, {@code [1]}. */
  Output<?> last(Output<?> x) {
    return slice(op("ReverseV2", op("Shape", x), ints(0)), 0, 1);
  }

  /** With dimensions of size 1 at the end, as many as another tensor has more. */
  Output<?> toRankOf(Output<?> x, Output<?> other) {
    Output<?> more = op("Sub", op("Rank", other), op("Rank", x));
    Output<?> ones = op("Fill", op("Reshape", more, ints(1)), integer(1));
    return op("Reshape", x, concat(op("Shape", x), ones));
  }

  Output<?> roll(Output<?> x, int shift, int axis) {
    return op("Roll", x, integer(shift), integer(axis));
  }

  Output<?> matMul(Output<?> x, Output<?> y, boolean isAdjointX, boolean isAdjointY) {
    return op(
        "BatchMatMulV2",
        builder -> builder.setAttr("adj_x", isAdjointX).setAttr("adj_y", isAdjointY),
        x,
        y);
  }

  /** Of the last two dimensions. */
  Output<?> adjoint(Output<?> matrix) {
    Output<?> rank = op("Rank", matrix);
    Output<?> batch = range(op("Sub", rank, integer(2)));
    Output<?> turned = op("Sub", op("Reshape", rank, ints(1)), ints(1, 2));
    return op("ConjugateTranspose", matrix, concat(batch, turned));
  }

  /** Bands below and above the diagonal; all of them where negative. */
  Output<?> bandPart(Output<?> matrix, long lower, long upper) {
    return op(
        "MatrixBandPart", matrix, tf.constant(lower).asOutput(), tf.constant(upper).asOutput());
  }

  /** Over some axes, which stay with size 1. */
  Output<?> keepingDims(String reduction, Output<?> x, Output<?> axes) {
    return op(reduction, builder -> builder.setAttr("keep_dims", true), x, axes);
  }

  Output<?> flat(Output<?> x) {
    return op("Reshape", x, ints(-1));
  }

  /** A vector {@code [N]} as {@code [N, 1]}. */
  Output<?> column(Output<?> vector) {
    return op("ExpandDims", vector, integer(1));
  }

  Output<?> range(Output<?> count) {
    return op("Range", integer(0), count, integer(1));
  }

  /** Sums a gradient over what broadcasting added to {@code x}, as it met {@code other}. */
  Output<?> unbroadcast(Output<?> gradient, Output<?> x, Output<?> other) {
    Output<?> shape = op("Shape", x);
    Output<?> axes = op("BroadcastGradientArgs", shape, op("Shape", other));
    return op("Reshape", op("Sum", gradient, axes), shape);
  }

  /** Sums a gradient over what broadcasting added to all but the last two dimensions. */
  Output<?> unbroadcastBatch(Output<?> gradient, Output<?> x) {
    Output<?> shape = op("Shape", x);
    Output<?> axes = op("BroadcastGradientArgs", batch(x), batch(gradient));
    return op("Reshape", op("Sum", gradient, axes), shape);
  }

  private Output<?> batch(Output<?> x) {
    Output<?> size = op("Sub", op("Rank", x), integer(2));
    return op("Slice", op("Shape", x), ints(0), op("Reshape", size, ints(1)));
  }
}
