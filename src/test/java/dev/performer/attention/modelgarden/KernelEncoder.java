package dev.performer.attention.modelgarden;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.math.Mean;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Model Garden's kernel encoder around {@link KernelLayer}, without dropout.
 *
 * @param layers one configuration a layer
 * @param normFirst whether layer norms come before attention and MLP
 * @param variables in the order of Keras
 * @param projections one a layer; empty without random features
 */
record KernelEncoder(
    List<KernelAttentionConfig> layers,
    boolean normFirst,
    List<Operand<TFloat32>> variables,
    List<Operand<TFloat32>> projections) {
  private static final float EPSILON = 1e-12f;

  /** All layers' outputs and the pooled first position. */
  record Outputs(List<Operand<TFloat32>> layers, Operand<TFloat32> pooled) {
    Operand<TFloat32> sequence() {
      return layers.get(layers.size() - 1);
    }
  }

  Outputs call(
      Ops tf, Operand<TInt32> words, Operand<TInt32> inputMask, Operand<TInt32> types, int length) {
    Iterator<Operand<TFloat32>> next = variables.iterator();
    Operand<TFloat32> mask = tf.dtypes.cast(inputMask, TFloat32.class);
    Operand<TFloat32> word = tf.gather(next.next(), words, tf.constant(0));
    Operand<TFloat32> position =
        tf.slice(next.next(), tf.constant(new int[] {0, 0}), tf.constant(new int[] {length, -1}));
    Operand<TFloat32> type = tf.gather(next.next(), types, tf.constant(0));
    Operand<TFloat32> x =
        norm(tf, tf.math.add(tf.math.add(word, position), type), next); // [B, T, E]
    List<Operand<TFloat32>> outputs = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      x = block(tf, x, mask, i, next);
      outputs.add(x);
    }
    Operand<TFloat32> first =
        tf.reshape(
            tf.slice(x, tf.constant(new int[] {0, 0, 0}), tf.constant(new int[] {-1, 1, -1})),
            tf.constant(new long[] {-1, x.shape().get(2)})); // [B, E]
    Operand<TFloat32> pooled =
        tf.math.tanh(tf.math.add(tf.linalg.matMul(first, next.next()), next.next()));
    return new Outputs(outputs, pooled);
  }

  private Operand<TFloat32> block(
      Ops tf,
      Operand<TFloat32> x,
      Operand<TFloat32> mask,
      int index,
      Iterator<Operand<TFloat32>> next) {
    KernelAttentionConfig config = layers.get(index);
    Map<String, Operand<TFloat32>> weights = new LinkedHashMap<>();
    List<String> names = new ArrayList<>(List.of("q", "k", "v", "o"));
    if (config.beginKernel() > 0) {
      names.add("o2");
    }
    for (String name : names) {
      weights.put("W" + name, next.next());
      weights.put("b" + name, next.next());
    }
    List<Operand<TFloat32>> attentionNorm = List.of(next.next(), next.next());
    List<Operand<TFloat32>> mlp = List.of(next.next(), next.next(), next.next(), next.next());
    List<Operand<TFloat32>> outputNorm = List.of(next.next(), next.next());
    KernelLayer attention = new KernelLayer(config, weights);
    Operand<TFloat32> p = projections.isEmpty() ? null : projections.get(index);
    if (normFirst) {
      // Model Garden normalizes the queries only: keys and values come as they are.
      Operand<TFloat32> y = norm(tf, x, attentionNorm.iterator());
      Operand<TFloat32> h = tf.math.add(x, attention.call(tf, y, x, x, mask, p));
      return tf.math.add(h, mlp(tf, norm(tf, h, outputNorm.iterator()), mlp));
    }
    Operand<TFloat32> h =
        norm(tf, tf.math.add(x, attention.call(tf, x, x, x, mask, p)), attentionNorm.iterator());
    return norm(tf, tf.math.add(h, mlp(tf, h, mlp)), outputNorm.iterator());
  }

  private static Operand<TFloat32> mlp(
      Ops tf, Operand<TFloat32> x, List<Operand<TFloat32>> weights) {
    Operand<TFloat32> inner = gelu(tf, dense(tf, x, weights.get(0), weights.get(1))); // [B, T, F]
    return dense(tf, inner, weights.get(2), weights.get(3));
  }

  private static Operand<TFloat32> dense(
      Ops tf, Operand<TFloat32> x, Operand<TFloat32> kernel, Operand<TFloat32> bias) {
    return tf.math.add(KernelLayer.einsum(tf, "bte,ef->btf", x, kernel), bias);
  }

  /** With the hyperbolic tangent, as Model Garden has it. */
  private static Operand<TFloat32> gelu(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> cube = tf.math.mul(tf.math.mul(x, tf.math.square(x)), tf.constant(0.044715f));
    Operand<TFloat32> inner =
        tf.math.mul(tf.math.add(x, cube), tf.constant((float) Math.sqrt(2 / Math.PI)));
    Operand<TFloat32> gate = tf.math.add(tf.math.tanh(inner), tf.constant(1f));
    return tf.math.mul(tf.math.mul(x, tf.constant(0.5f)), gate);
  }

  private static Operand<TFloat32> norm(
      Ops tf, Operand<TFloat32> x, Iterator<Operand<TFloat32>> gammaThenBeta) {
    Operand<TFloat32> centred =
        tf.math.sub(x, tf.math.mean(x, tf.constant(2), Mean.keepDims(true)));
    Operand<TFloat32> variance =
        tf.math.mean(tf.math.square(centred), tf.constant(2), Mean.keepDims(true));
    Operand<TFloat32> scaled =
        tf.math.mul(
            centred, tf.math.rsqrt(tf.math.add(variance, tf.constant(EPSILON)))); // [B, T, E]
    return tf.math.add(tf.math.mul(scaled, gammaThenBeta.next()), gammaThenBeta.next());
  }
}
