package dev.performer.savedmodel;

import dev.performer.graph.Tensors;
import dev.performer.graph.TracedFunction.ArgumentSpec;
import dev.performer.graph.Variables;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TType;

/** A small causal language model with linear attention, in a graph with a session. */
final class SmallModel implements AutoCloseable {
  static final int VOCABULARY = 11;
  static final int LAYERS = 2;
  private static final int E = 8;
  private static final int M = 6;

  static final ArgumentSpec TOKENS = ArgumentSpec.of("tokens", TInt32.class, -1, -1);
  static final ArgumentSpec MASK = ArgumentSpec.of("mask", TFloat32.class, -1, -1);

  final Graph graph = new Graph();
  final Session session = new Session(graph);
  final Ops tf = Ops.create(graph);
  final Variables variables = new Variables(tf);
  final Placeholder<TInt32> tokens;
  final Operand<TFloat32> logits;

  SmallModel(long seed) {
    Random random = new Random(seed);
    weights("embeddings/table", random, true, VOCABULARY, E);
    for (int layer = 0; layer < LAYERS; layer++) {
      String scope = "layers/" + layer + "/attention/";
      for (String name : List.of("query", "key", "value", "output")) {
        weights(scope + name, random, true, E, E);
      }
      weights(scope + "projection", random, false, M, E);
    }
    variables.create("temperature", Shape.scalar(), true, tf.constant(1.25)); // float64
    variables.create("calls", Shape.of(2), false, tf.constant(new long[] {1L << 40, -3}));
    variables.initialize(session);
    tokens = tf.placeholder(TInt32.class, Placeholder.shape(TOKENS.shape()));
    Map<String, Operand<?>> read = new LinkedHashMap<>();
    variables.all().forEach(variable -> read.put(variable.name(), variable.read(tf)));
    logits = logits(tf, tokens, read::get);
  }

  private void weights(String name, Random random, boolean trainable, long... shape) {
    float[] values = new float[Math.toIntExact(Shape.of(shape).size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian() * 0.3f;
    }
    try (TFloat32 tensor = Tensors.of(values, shape)) {
      variables.create(name, Shape.of(shape), trainable, tf.constantOf(tensor));
    }
  }

  @SuppressWarnings("unchecked")
  private static <T extends TType> Operand<T> as(Operand<?> operand) {
    return (Operand<T>) operand;
  }

  private static Operand<TFloat32> einsum(Ops tf, String equation, Operand<?> a, Operand<?> b) {
    return tf.linalg.einsum(List.<Operand<TFloat32>>of(as(a), as(b)), equation);
  }

  static Operand<TFloat32> hidden(Ops tf, Operand<?> tokens, Function<String, Operand<?>> read) {
    Operand<TFloat32> x =
        tf.gather(
            SmallModel.<TFloat32>as(read.apply("embeddings/table")),
            SmallModel.<TInt32>as(tokens),
            tf.constant(0)); // [B, L, E]
    for (int layer = 0; layer < LAYERS; layer++) {
      String scope = "layers/" + layer + "/attention/";
      Operand<?> projection = read.apply(scope + "projection");
      Operand<TFloat32> q = features(tf, x, read.apply(scope + "query"), projection);
      Operand<TFloat32> k = features(tf, x, read.apply(scope + "key"), projection);
      Operand<TFloat32> v = einsum(tf, "ble,ed->bld", x, read.apply(scope + "value"));
      Operand<TFloat32> states = tf.math.cumsum(einsum(tf, "blm,bld->blmd", k, v), tf.constant(1));
      Operand<TFloat32> sums = einsum(tf, "blm,blm->bl", q, tf.math.cumsum(k, tf.constant(1)));
      Operand<TFloat32> attended =
          tf.math.div(einsum(tf, "blm,blmd->bld", q, states), tf.expandDims(sums, tf.constant(-1)));
      x = tf.math.add(x, einsum(tf, "bld,de->ble", attended, read.apply(scope + "output")));
    }
    return x;
  }

  private static Operand<TFloat32> features(
      Ops tf, Operand<?> x, Operand<?> weights, Operand<?> projection) {
    return tf.math.exp(
        einsum(tf, "ble,me->blm", einsum(tf, "ble,ed->bld", x, weights), projection));
  }

  static Operand<TFloat32> logits(Ops tf, Operand<?> tokens, Function<String, Operand<?>> read) {
    Operand<TFloat32> logits =
        einsum(tf, "ble,ve->blv", hidden(tf, tokens, read), read.apply("embeddings/table"));
    Operand<TFloat64> temperature = as(read.apply("temperature"));
    return tf.math.div(logits, tf.dtypes.cast(temperature, TFloat32.class));
  }

  /** Per token, and the mean over real tokens; named so that order and alphabet differ. */
  static Map<String, Operand<?>> embed(
      Ops tf, Map<String, Operand<?>> inputs, Function<String, Operand<?>> read) {
    Operand<TFloat32> x = hidden(tf, inputs.get("tokens"), read);
    Operand<TFloat32> mask = as(inputs.get("mask"));
    Operand<TFloat32> sum = einsum(tf, "ble,bl->be", x, mask);
    Operand<TFloat32> count = tf.reduceSum(mask, tf.constant(1), ReduceSum.keepDims(true));
    Map<String, Operand<?>> outputs = new LinkedHashMap<>();
    outputs.put("per_token", x);
    outputs.put("mean", tf.math.div(sum, count));
    outputs.put("count", count);
    return outputs;
  }

  SavedModelExporter exporter() {
    return SavedModelExporter.builder()
        .variables(variables.all())
        .signature(
            "serving_default",
            List.of(TOKENS),
            (t, in, read) -> Map.of("logits", logits(t, in.get("tokens"), read)))
        .signature("embed", List.of(TOKENS, MASK), SmallModel::embed);
  }

  float[] run(int[] ids, long... shape) {
    try (TInt32 fed = Tensors.of(ids, shape);
        Result result = session.runner().feed(tokens, fed).fetch(logits).run()) {
      return Tensors.floats(result.get(0));
    }
  }

  @Override
  public void close() {
    session.close();
    graph.close();
  }
}
