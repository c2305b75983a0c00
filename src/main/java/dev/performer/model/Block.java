package dev.performer.model;

import dev.performer.nn.Dropout;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.Mlp;
import dev.performer.nn.MultiHeadAttention;
import dev.performer.nn.Rotation;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Self attention, cross attention in a decoder (else null), and an MLP, each with a norm and a
 * residual.
 *
 * @param dropout rate of what each part adds
 */
record Block(
    MultiHeadAttention self,
    LayerNorm selfNorm,
    MultiHeadAttention cross,
    LayerNorm crossNorm,
    Mlp mlp,
    LayerNorm mlpNorm,
    Normalization.Position position,
    double dropout) {

  /** What all blocks of one pass share; {@code mixing} is null for self attention of their own. */
  record Context(
      Operand<TFloat32> mask,
      Rotation rotation,
      Operand<TFloat32> encoded,
      Operand<TFloat32> encodedMask,
      Dropout drop,
      Performer.Mixing mixing) {}

  /**
   * @param x {@code [B, L, E]}
   * @param number of this block
   */
  Outputs.Layer apply(Ops tf, Operand<TFloat32> x, Context in, int number) {
    boolean isPost = position == Normalization.Position.POST;
    Operand<TFloat32> normed = isPost ? x : selfNorm.apply(tf, x);
    Operand<TFloat32> source = position == Normalization.Position.PRE_QUERY ? x : normed;
    MultiHeadAttention.Projected projected = self.project(tf, normed, source, in.rotation());
    Operand<TFloat32> attended =
        in.mixing() == null
            ? self.attend(tf, projected, in.mask(), in.drop())
            : self.output(tf, in.mixing().mix(number, projected)); // [B, L, E]
    Operand<TFloat32> hidden = residual(tf, x, attended, selfNorm, in);
    if (cross != null) {
      Operand<TFloat32> queries = isPost ? hidden : crossNorm.apply(tf, hidden);
      var pair = cross.project(tf, queries, in.encoded(), null);
      Operand<TFloat32> seen = cross.attend(tf, pair, in.encodedMask(), in.drop());
      hidden = residual(tf, hidden, seen, crossNorm, in);
    }
    Operand<TFloat32> into = isPost ? hidden : mlpNorm.apply(tf, hidden);
    Operand<TFloat32> out = residual(tf, hidden, mlp.apply(tf, into, in.drop()), mlpNorm, in);
    return new Outputs.Layer(
        out, attended, projected.queries(), projected.keys(), projected.values());
  }

  private Operand<TFloat32> residual(
      Ops tf, Operand<TFloat32> x, Operand<TFloat32> added, LayerNorm norm, Context in) {
    Operand<TFloat32> sum = tf.math.add(x, in.drop().apply(tf, added, dropout));
    return position == Normalization.Position.POST ? norm.apply(tf, sum) : sum;
  }
}
