package dev.performer.study;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.ExactAttention;
import dev.performer.graph.Algebra;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variables;
import dev.performer.model.AttentionConfig;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.savedmodel.PerformerModels;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.nn.TopK;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * How a model of ours attends in a sequence: rows of the matrix that mixes values, in every layer
 * and head, some queries at a time. Memory is linear in the length, in layers with exact attention
 * too, whose outputs are then mixed by these rows.
 *
 * <p>Of a model with a decoder it is the encoder. Owns a graph and its session, for one thread.
 */
public final class ModelAttention implements AutoCloseable {
  private static final int MOST_WEIGHTS = 1 << 21; // of all heads at a time
  private static final int MOST_ROWS = 256;
  private static final float HIDDEN = 1e30f;

  private final PerformerConfig config;
  private final int rows;
  private final Graph graph = new Graph();
  private final Session session;
  private final Operand<TInt32> ids;
  private final Operand<TInt32> real;
  private final Operand<TInt32> at;
  private final List<LayerOps> layers = new ArrayList<>();

  /**
   * What is looked for.
   *
   * @param top keys of a query that are listed
   * @param layers that are looked at
   * @param kept queries whose rows are kept, ascending
   */
  public record Wanted(int top, Set<Integer> layers, int[] kept) {}

  /**
   * A head in one sequence of L queries.
   *
   * @param sources the keys of each query with the largest weights, {@code [L, k]}; −1 where it
   *     sees fewer
   * @param weights theirs, {@code [L, k]}
   * @param rows of the queries that are kept, {@code [R, S]}
   * @param total largest distance of a row's sum from 1
   * @param effective number of keys that a query sees, {@code (Σw)²/Σw²}, mean over queries
   * @param distance between a row and that of exact attention of the same queries and keys, half
   *     the sum of |differences|, mean over queries
   * @param cosine of the two, mean over queries
   * @param common share of the listed keys that both have, mean over queries
   */
  public record Head(
      int[] sources,
      float[] weights,
      float[] rows,
      double total,
      double effective,
      double distance,
      double cosine,
      double common) {}

  /** The ops of a layer; {@code mixed} is null where the layer mixes values itself. */
  private record LayerOps(
      Outputs.Layer layer,
      Operand<TFloat32> mixed,
      List<Operand<TFloat32>> once,
      Operand<TFloat32> weights, // [1, H, n, S]
      Operand<TFloat32> mixedRows, // [1, H, n, D]
      TopK<TFloat32, TInt32> top,
      TopK<TFloat32, TInt32> exactTop,
      Operand<TFloat32> measures) {} // [5, 1, H, n]

  /**
   * @param longest sequence, with all padding
   * @param top keys of a query that are listed at most
   */
  public ModelAttention(PerformerModels.Saved model, int longest, int top) {
    config = model.config();
    int most = MOST_WEIGHTS / Math.max(1, Math.multiplyExact(config.heads(), longest));
    rows = Math.max(1, Math.min(MOST_ROWS, most));
    session = new Session(graph, false);
    Ops tf = Ops.create(graph);
    Variables variables = new Variables(tf);
    Performer.shapes(config)
        .forEach((name, shape) -> variables.declare(name, TFloat32.class, shape, false));
    ids = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(1, -1)));
    real = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(1, -1)));
    at = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(rows)));
    // Other models know padding by its id, or see it.
    boolean isMasked = config.task() == Task.ENCODER;
    Inputs inputs = Inputs.of(ids, isMasked ? tf.dtypes.cast(real, TFloat32.class) : null);
    inputs = config.task().hasDecoder() ? inputs.withDecoder(ids, null) : inputs;
    Performer performer = Performer.over(config, variables::get);
    Map<Integer, Operand<TFloat32>> mixed = new TreeMap<>();
    Outputs outputs =
        performer.apply(
            tf,
            inputs,
            (layer, projected) -> {
              if (isLinear(config.attentionOf(layer))) {
                return null;
              }
              var shape = Shape.of(1, config.heads(), -1, config.headSize());
              mixed.put(layer, tf.placeholder(TFloat32.class, Placeholder.shape(shape)));
              return mixed.get(layer);
            });
    for (int i = 0; i < config.layers(); i++) {
      layers.add(ops(tf, performer, outputs, i, mixed.get(i), top));
    }
    PerformerModels.assign(tf, session, variables.all(), model.weights());
  }

  /** Whether a layer mixes values in memory linear in the length. */
  private static boolean isLinear(AttentionConfig attention) {
    boolean hasExact =
        attention instanceof AttentionConfig.Favor favor && favor.config().exactHeads() > 0;
    return !hasExact && !(attention instanceof AttentionConfig.Exact);
  }

  private LayerOps ops(
      Ops tf, Performer model, Outputs outputs, int i, Operand<TFloat32> mixed, int top) {
    Outputs.Layer layer = outputs.layers().get(i);
    Algebra<TFloat32> a = Algebra.of(tf, layer.queries());
    Projected of = new Projected(layer.queries(), layer.keys(), null, layer.logGates());
    List<Operand<TFloat32>> once = new ArrayList<>();
    var weights = model.attention(i).mixer().weights(tf, of, outputs.mask(), at, once);
    boolean causal = config.attentionOf(i).isCausal();
    var some = tf.gather(layer.queries(), at, tf.constant(2));
    boolean isExact = config.attentionOf(i) instanceof AttentionConfig.Exact;
    Operand<TFloat32> exact =
        isExact
            ? weights
            : new ExactAttention(causal).weights(tf, some, layer.keys(), outputs.mask(), at);
    var length = Algebra.sizes(tf, layer.keys(), 2, 3);
    var ones = tf.fill(tf.concat(List.of(tf.array(rows), length), tf.constant(0)), a.constant(1));
    Operand<TFloat32> seen = causal ? ExactAttention.upTo(a, at, length) : ones; // [n, S]
    if (outputs.mask() != null) {
      var axes = tf.array(1, 2);
      seen = tf.math.mul(seen, tf.expandDims(outputs.mask(), tf.constant(1))); // [1, n, S]
      seen = tf.expandDims(seen, tf.constant(1)); // [1, 1, n, S]
    }
    Operand<TFloat32> hidden = a.times(tf.math.sub(seen, a.constant(1)), HIDDEN);
    var count = tf.math.minimum(tf.constant(top), tf.squeeze(length));
    var difference = tf.math.abs(tf.math.sub(weights, exact));
    var measures =
        List.of(
            weights,
            tf.math.square(weights),
            difference,
            tf.math.mul(weights, exact),
            tf.math.square(exact));
    List<Operand<TFloat32>> sums = new ArrayList<>();
    measures.forEach(x -> sums.add(tf.sum(x, tf.constant(-1))));
    return new LayerOps(
        layer,
        mixed,
        once,
        weights,
        a.matMul(weights, layer.values()),
        tf.nn.topK(tf.math.add(weights, hidden), count, TInt32.class),
        tf.nn.topK(tf.math.add(exact, hidden), count, TInt32.class),
        tf.stack(sums));
  }

  /**
   * Looks at a sequence.
   *
   * @param tokens of the sequence, then padding up to the length that the model needs
   * @param length of the sequence itself
   * @param pad what is padding within it, too
   * @return the heads of each layer that is wanted, by its number
   * @throws dev.performer.PerformerException if weights of a layer are not finite
   */
  public Map<Integer, List<Head>> of(int[] tokens, int length, int pad, Wanted wanted) {
    int front = config.classToken() ? 1 : 0;
    int[] isReal = Arrays.stream(tokens).map(id -> id == pad ? 0 : 1).toArray();
    Arrays.fill(isReal, length, tokens.length, 0);
    Map<Integer, List<Head>> heads = new TreeMap<>();
    int last = wanted.layers().stream().mapToInt(i -> i).max().orElse(-1);
    try (Feeds sequence = new Feeds()) {
      sequence.put(ids, Tensors.of(tokens, 1, tokens.length));
      sequence.put(real, Tensors.of(isReal, 1, tokens.length));
      for (int i = 0; i <= last; i++) {
        int queries = wanted.layers().contains(i) ? front + length : 0;
        var gathered = new HeadRows(config.heads(), queries, front + tokens.length, wanted);
        look(i, sequence, gathered);
        if (queries > 0) {
          heads.put(i, gathered.heads(i));
        }
      }
    }
    return heads;
  }

  /** Goes through a layer, whose input is fed, and feeds what the next one gets. */
  private void look(int i, Feeds sequence, HeadRows gathered) {
    LayerOps ops = layers.get(i);
    Operand<TFloat32> hidden = ops.layer.hidden();
    boolean isMixed = ops.mixed != null;
    List<Operand<TFloat32>> first =
        new ArrayList<>(List.of(ops.layer.queries(), ops.layer.keys(), ops.layer.values()));
    if (!isMixed) {
      first.add(hidden);
    }
    try (Feeds layer = new Feeds()) {
      sequence.run(session, first, layer);
      if (!ops.once.isEmpty() && gathered.queries() > 0) { // after the pass, whose memory is free
        layer.run(session, sequence, ops.once);
      }
      int positions = (int) layer.tensor(ops.layer.keys()).shape().get(2);
      float[] mixed = isMixed ? new float[config.heads() * positions * config.headSize()] : null;
      for (int from = 0; from < (isMixed ? positions : gathered.queries()); from += rows) {
        block(ops, sequence, layer, from, Math.min(rows, positions - from), gathered, mixed);
      }
      if (isMixed) {
        sequence.put(ops.mixed, Tensors.of(mixed, 1, config.heads(), positions, config.headSize()));
        sequence.run(session, List.of(hidden), sequence);
        sequence.remove(ops.mixed);
      } else {
        layer.move(hidden, sequence);
      }
    }
    if (i > 0) {
      sequence.remove(layers.get(i - 1).layer.hidden());
    }
  }

  /** Some queries of a layer; {@code mixed}, {@code [H, S, D]}, may be null. */
  private void block(
      LayerOps ops,
      Feeds sequence,
      Feeds layer,
      int from,
      int count,
      HeadRows gathered,
      float[] mixed) {
    int[] positions = new int[rows];
    Arrays.setAll(positions, r -> from + Math.min(r, count - 1));
    boolean isWanted = from < gathered.queries();
    List<Operand<?>> fetched = new ArrayList<>();
    if (isWanted) {
      fetched.addAll(
          List.of(ops.measures, ops.top.values(), ops.top.indices(), ops.exactTop.indices()));
      fetched.addAll(gathered.keeps(from, count) ? List.of(ops.weights) : List.of());
    }
    if (mixed != null) {
      fetched.add(ops.mixedRows);
    }
    try (Tensor block = Tensors.of(positions, rows)) {
      var runner = session.runner().feed(at, block);
      Map<Output<?>, Tensor> all = new LinkedHashMap<>(sequence.tensors);
      all.putAll(layer.tensors);
      all.forEach(runner::feed);
      fetched.forEach(runner::fetch);
      try (Result result = runner.run()) {
        if (isWanted) {
          boolean hasRows = fetched.contains(ops.weights);
          gathered.add(
              from,
              count,
              Tensors.floats(result.get(0)),
              Tensors.floats(result.get(1)),
              ints(result.get(2)),
              ints(result.get(3)),
              hasRows ? Tensors.floats(result.get(4)) : null);
        }
        if (mixed != null) {
          float[] some = Tensors.floats(result.get(fetched.size() - 1)); // [1, H, n, D]
          int size = config.headSize();
          int length = mixed.length / config.heads();
          for (int h = 0; h < config.heads(); h++) {
            System.arraycopy(some, h * rows * size, mixed, h * length + from * size, count * size);
          }
        }
      }
    }
  }

  private static int[] ints(Tensor tensor) {
    int[] ints = new int[Math.toIntExact(tensor.shape().size())];
    tensor.asRawTensor().data().asInts().read(ints);
    return ints;
  }

  @Override
  public void close() {
    session.close();
    graph.close();
  }

  /** Tensors in place of what a graph would compute; owns them. */
  private static final class Feeds implements AutoCloseable {
    private final Map<Output<?>, Tensor> tensors = new LinkedHashMap<>();

    void put(Operand<?> operand, Tensor tensor) {
      tensors.put(operand.asOutput(), tensor);
    }

    Tensor tensor(Operand<?> operand) {
      return tensors.get(operand.asOutput());
    }

    void remove(Operand<?> operand) {
      tensors.remove(operand.asOutput()).close();
    }

    void move(Operand<?> operand, Feeds to) {
      to.put(operand, tensors.remove(operand.asOutput()));
    }

    /** Computes operands of these, and puts them to others, once each. */
    void run(Session session, List<Operand<TFloat32>> fetched, Feeds to) {
      compute(session, tensors, fetched, to);
    }

    /** Computes operands of these and others, and puts them to these. */
    void run(Session session, Feeds others, List<Operand<TFloat32>> fetched) {
      Map<Output<?>, Tensor> all = new LinkedHashMap<>(others.tensors);
      all.putAll(tensors);
      compute(session, all, fetched, this);
    }

    private static void compute(
        Session session, Map<Output<?>, Tensor> fed, List<Operand<TFloat32>> fetched, Feeds to) {
      var runner = session.runner();
      fed.forEach(runner::feed);
      List<Output<?>> outputs = new ArrayList<>();
      fetched.stream().map(Operand::asOutput).distinct().forEach(outputs::add);
      outputs.forEach(runner::fetch);
      Result result = runner.run(); // whose tensors have other owners from here on
      for (int i = 0; i < outputs.size(); i++) {
        to.tensors.put(outputs.get(i), result.get(i));
      }
    }

    @Override
    public void close() {
      tensors.values().forEach(Tensor::close);
    }
  }
}
