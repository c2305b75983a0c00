package dev.performer.attention.modelgarden;

import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Model Garden's layer around {@link KernelAttention}: dense layers before and after it.
 *
 * @param config the layer's arguments
 * @param weights Wq, bq, Wk, bk, Wv, bv, Wo, bo and, with {@code begin_kernel}, Wo2, bo2; biases
 *     may be missing
 */
record KernelLayer(KernelAttentionConfig config, Map<String, Operand<TFloat32>> weights) {

  /** The layer's output, {@code [B, T, E]}. */
  Operand<TFloat32> call(
      Ops tf,
      Operand<TFloat32> query,
      Operand<TFloat32> key,
      Operand<TFloat32> value,
      Operand<TFloat32> mask,
      Operand<TFloat32> projection) {
    KernelAttention.Outputs<TFloat32> heads =
        new KernelAttention(config)
            .attend(tf, in(tf, query, "q"), in(tf, key, "k"), in(tf, value, "v"), mask, projection);
    Operand<TFloat32> rest = out(tf, heads.rest(), "o");
    return heads
        .begin()
        .<Operand<TFloat32>>map(
            begin -> tf.concat(List.of(out(tf, begin, "o2"), rest), tf.constant(1)))
        .orElse(rest);
  }

  Operand<TFloat32> in(Ops tf, Operand<TFloat32> x, String name) {
    return biased(tf, einsum(tf, "bte,ehd->bthd", x, weights.get("W" + name)), "b" + name);
  }

  Operand<TFloat32> out(Ops tf, Operand<TFloat32> x, String name) {
    return biased(tf, einsum(tf, "bthd,hde->bte", x, weights.get("W" + name)), "b" + name);
  }

  private Operand<TFloat32> biased(Ops tf, Operand<TFloat32> x, String name) {
    Operand<TFloat32> bias = weights.get(name);
    return bias == null ? x : tf.math.add(x, bias);
  }

  static Operand<TFloat32> einsum(
      Ops tf, String equation, Operand<TFloat32> x, Operand<TFloat32> y) {
    return tf.linalg.einsum(List.of(x, y), equation);
  }
}
