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
}
