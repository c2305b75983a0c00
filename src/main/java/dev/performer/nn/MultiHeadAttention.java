package dev.performer.nn;

import dev.performer.attention.Attention;
import dev.performer.attention.Attention.Projected;
import dev.performer.graph.Algebra;
import dev.performer.nn.Sinusoids.Rotation;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Dense layers to queries, keys and values, heads that mix them, and a dense layer back. */
public record MultiHeadAttention(
    Dense query, // [E, H, D], as key and value
    Dense key, // the queries' own where the mixer shares it
    Dense value,
    Dense output, // [H, D, E]
    Dense outputExact, // of the first queries where the mixer sets them apart, or null
    HeadMixer mixer,
    int heads,
    int headSize,
    boolean joins) { // q, k and v of one input in one product, whose weights are joined then
  /** Creates the dense layers' variables. */
  public static MultiHeadAttention create(
      Parameters parameters, int size, int heads, int headSize, boolean bias, HeadMixer mixer) {
    long[] width = {size};
    long[] split = {heads, headSize};
    Dense query = Dense.create(parameters.in("query"), width, split, bias);
    return new MultiHeadAttention(
        query,
        mixer.sharesKeys() ? query : Dense.create(parameters.in("key"), width, split, bias),
        Dense.create(parameters.in("value"), width, split, bias),
        Dense.create(parameters.in("output"), split, width, bias),
        mixer.hasBegin() ? Dense.create(parameters.in("output_exact"), split, width, bias) : null,
        mixer,
        heads,
        headSize,
        parameters.constant());
  }

  /** The first half: queries of {@code x}, keys and values of {@code source}; rotation or null. */
  public Projected project(
      Ops tf, Operand<TFloat32> x, Operand<TFloat32> source, Rotation rotation) {
    if (mixer.sharesKeys()) {
      Operand<TFloat32> q = turned(tf, split(tf, query.apply(tf, x)), rotation);
      return new Projected(q, q, split(tf, value.apply(tf, source)));
    }
    var parts = joins && x == source ? joined(tf, x) : apart(tf, x, source);
    Operand<TFloat32> q = split(tf, parts.get(0)); // [B, H, L, D]
    Operand<TFloat32> k = split(tf, parts.get(1)); // [B, H, S, D]
    Operand<TFloat32> v = split(tf, parts.get(2)); // [B, H, S, D]
    return new Projected(
        turned(tf, q, rotation), turned(tf, k, rotation), v, mixer.logGates(tf, source));
  }

  private static Operand<TFloat32> turned(Ops tf, Operand<TFloat32> x, Rotation rotation) {
    return rotation == null ? x : rotation.apply(tf, x);
  }

  private List<Operand<TFloat32>> apart(Ops tf, Operand<TFloat32> x, Operand<TFloat32> source) {
    return List.of(query.apply(tf, x), key.apply(tf, source), value.apply(tf, source));
  }

  private List<Operand<TFloat32>> joined(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> all = Dense.joined(tf, List.of(query, key, value)).apply(tf, x);
    List<Operand<TFloat32>> parts = new ArrayList<>();
    tf.split(tf.constant(2), all, 3L).forEach(parts::add); // [B, L, H·D] each
    return parts;
  }

  /** Mixes values with this layer's own mixer, and goes on to the output. */
  public Operand<TFloat32> attend(
      Ops tf, Projected projected, Operand<TFloat32> keyMask, Dropout drop) {
    HeadMixer.Mixed out = mixer.mix(tf, projected, keyMask, drop);
    Operand<TFloat32> rest = output(tf, out.rest());
    if (out.begin() == null) {
      return rest;
    }
    Operand<TFloat32> begin = outputExact.apply(tf, join(tf, out.begin())); // [B, b, E]
    return tf.concat(List.of(begin, rest), tf.constant(1));
  }

  /** The output layer, from {@code [B, H, L, D]} to {@code [B, L, E]}. */
  public Operand<TFloat32> output(Ops tf, Operand<TFloat32> mixed) {
    return output.apply(tf, join(tf, mixed));
  }

  private Operand<TFloat32> split(Ops tf, Operand<TFloat32> x) {
    return Attention.swapPositionsAndHeads(
        tf, Algebra.withLast(tf, x, x, heads, headSize)); // [B, H, L, D]
  }

  private Operand<TFloat32> join(Ops tf, Operand<TFloat32> x) {
    if (x.shape().get(2) == 1) {
      return Algebra.reshape(tf, x, tf.array(-1, 1, heads * headSize));
    }
    Operand<TFloat32> swapped = Attention.swapPositionsAndHeads(tf, x); // [B, L, H, D]
    var sizes = List.of(Algebra.sizes(tf, swapped, 0, 2), tf.array(heads * headSize));
    return tf.reshape(swapped, tf.concat(sizes, tf.constant(0))); // [B, L, H·D]
  }
}
