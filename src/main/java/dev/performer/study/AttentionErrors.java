package dev.performer.study;

import static dev.performer.PerformerException.require;

import dev.performer.attention.Attention;
import dev.performer.attention.Calibration;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.data.NpyArray;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.HeadCalibration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.train.BatchMatMul;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * How far FAVOR+ is from exact attention on the queries, keys and values that a model has on given
 * sequences, layer by layer and head by head.
 */
public record AttentionErrors(PerformerConfig model, Map<String, NpyArray> weights) {
  /**
   * What is tried in a layer.
   *
   * @param projection {@code [M, D]}, or null without one
   * @param calibration the layer's variables of that, by their names behind the layer's; empty for
   *     none
   */
  public record Trial(FavorConfig favor, float[] projection, Map<String, NpyArray> calibration) {
    /** Without a calibration. */
    public Trial(FavorConfig favor, float[] projection) {
      this(favor, projection, Map.of());
    }

    /** As the weights of a model have it. */
    static Trial stored(FavorConfig favor, int layer, Map<String, NpyArray> weights) {
      String name = Performer.attentionOf(layer);
      NpyArray projection = weights.get(name + "projection");
      Map<String, NpyArray> calibration =
          HeadCalibration.names().stream()
              .filter(part -> weights.containsKey(name + part))
              .collect(Collectors.toMap(part -> part, part -> weights.get(name + part)));
      return new Trial(favor, projection == null ? null : projection.floats(), calibration);
    }

    private FavorAttention attention(Ops tf, int headSize) {
      Operand<TFloat32> p =
          tf.reshape(tf.constant(projection), tf.array(favor.features(), headSize));
      return FavorAttention.of(favor, p, calibration.isEmpty() ? null : calibration(tf));
    }

    private Calibration calibration(Ops tf) {
      return new Calibration(
          constant(tf, HeadCalibration.AMOUNTS),
          constant(tf, HeadCalibration.QUERY_CENTRE),
          constant(tf, HeadCalibration.KEY_CENTRE),
          constant(tf, HeadCalibration.DIRECTIONS));
    }

    private Operand<TFloat32> constant(Ops tf, String part) {
      NpyArray value = calibration.get(part);
      return tf.reshape(tf.constant(value.floats()), tf.constant(value.shape()));
    }
  }

  /**
   * Of one head, or of all heads of a layer together.
   *
   * @param queryNorm mean length of real tokens' queries
   * @param keyNorm of their keys
   * @param largestLogit largest |q·k|/√D between tokens that see one another
   * @param effectiveFeatures how many features carry a query's denominator, in the mean: (Σ w)²/Σ
   *     w² of what each adds
   * @param measured root mean square error relative to exact attention's output
   * @param expected the same in closed form ({@link ExpectedError}), infinite where double
   *     precision ends; NaN for kernels without one
   */
  public record Errors(
      double queryNorm,
      double largestQueryNorm,
      double keyNorm,
      double largestKeyNorm,
      double largestLogit,
      double effectiveFeatures,
      double measured,
      double expected,
      double medianMeasured,
      double medianExpected) {}

  /** What was tried in a layer: all heads together, and each, those that are kept exact too. */
  public record Row(int layer, FavorConfig favor, Errors all, List<Errors> heads) {}

  /**
   * Measures, one sequence at a time.
   *
   * @param trials one per layer
   * @param paddedLength to which all are padded; 0 for not at all
   */
  public List<Row> measure(List<Trial> trials, List<int[]> sequences, int pad, int paddedLength) {
    Map<Integer, Trial> byLayer = new TreeMap<>();
    IntStream.range(0, trials.size()).forEach(i -> byLayer.put(i, trials.get(i)));
    return measure(byLayer, sequences, pad, paddedLength);
  }

  /** The same of some layers, in their order. */
  List<Row> measure(Map<Integer, Trial> trials, List<int[]> sequences, int pad, int paddedLength) {
    List<Integer> layers = trials.keySet().stream().sorted().toList();
    List<Tokens> measured =
        layers.stream().map(i -> new Tokens(i, trials.get(i).favor, model.heads())).toList();
    new ModelPass(model, weights)
        .run(
            sequences,
            pad,
            paddedLength,
            (tf, outputs) ->
                layers.stream()
                    .map(i -> measures(tf, outputs.layers().get(i), outputs.mask(), trials.get(i)))
                    .toList(),
            (i, values) -> measured.get(i).add(values));
    return measured.stream().map(Tokens::row).toList();
  }

  /** What {@link Tokens} takes, of one sequence: {@code [8, 1, H, L]}. */
  private Output<TFloat64> measures(
      Ops tf, Outputs.Layer layer, Operand<TFloat32> mask, Trial trial) {
    FavorConfig favor = trial.favor;
    boolean isDrawn = trial.projection != null;
    require(isDrawn, "a kernel without a projection estimates nothing; give features above 0");
    FavorAttention attention = trial.attention(tf, model.headSize());
    var exact = attended(tf, new ExactAttention(favor.causal()), layer, mask); // [1, H, L, D]
    var estimate = attended(tf, attention, layer, mask); // [1, H, L, D]
    Operand<TFloat64> real = tf.expandDims(wide(tf, mask), tf.constant(1)); // [1, 1, L]
    Operand<TFloat64> seen = // [1, 1, L, L]
        tf.math.mul(tf.expandDims(real, tf.constant(2)), tf.expandDims(real, tf.constant(3)));
    if (favor.causal()) {
      seen = tf.linalg.bandPart(seen, tf.constant(-1L), tf.constant(0L));
    }
    var scale = tf.constant(Math.pow(model.headSize(), -0.25));
    var queries = wide(tf, layer.queries());
    var keys = wide(tf, layer.keys());
    Operand<TFloat64> x = tf.math.mul(queries, scale);
    Operand<TFloat64> y = tf.math.mul(keys, scale);
    Operand<TFloat64> products = tf.train.batchMatMul(x, y, TFloat64.class, BatchMatMul.adjY(true));
    Operand<TFloat64> logits = tf.math.mul(tf.math.abs(products), seen); // [1, H, L, L]
    Operand<TFloat64> norms = tf.math.sqrt(squares(tf, queries, real)); // [1, H, L]
    Operand<TFloat64> expected = tf.zerosLike(norms);
    if (ExpectedError.isKnown(favor.kernel())) {
      var closed = new ExpectedError(tf, x, y, wide(tf, layer.values()), seen).of(favor.kernel());
      expected = masked(tf, closed, real);
    }
    var parts =
        List.of(
            squares(tf, tf.math.sub(estimate, exact), real),
            expected,
            squares(tf, exact, real),
            norms,
            tf.math.sqrt(squares(tf, keys, real)),
            tf.reduceMax(logits, tf.constant(-1)),
            masked(tf, effective(tf, attention, layer, mask, seen), real),
            tf.math.mul(tf.onesLike(norms), real));
    return tf.stack(parts).asOutput();
  }

  /**
   * {@code (Σ w)²/Σ w²} of what each feature adds to a query's denominator, {@code [1, H, L]}: how
   * many of them carry it.
   */
  private static Operand<TFloat64> effective(
      Ops tf,
      FavorAttention attention,
      Outputs.Layer layer,
      Operand<TFloat32> mask,
      Operand<TFloat64> seen) {
    var of = attention.featureMap().map(tf, layer.queries(), layer.keys(), mask);
    var sums = tf.train.batchMatMul(seen, wide(tf, of.keys()), TFloat64.class); // [1, H, L, R]
    Operand<TFloat64> added = tf.math.mul(wide(tf, of.queries()), sums);
    Operand<TFloat64> total = tf.math.square(tf.reduceSum(added, tf.constant(-1)));
    return tf.math.divNoNan(total, tf.reduceSum(tf.math.square(added), tf.constant(-1)));
  }

  private static Operand<TFloat64> attended(
      Ops tf, Attention attention, Outputs.Layer layer, Operand<TFloat32> mask) {
    return wide(tf, attention.attend(tf, layer.queries(), layer.keys(), layer.values(), mask));
  }

  private static Operand<TFloat64> squares(Ops tf, Operand<TFloat64> x, Operand<TFloat64> real) {
    return masked(tf, tf.reduceSum(tf.math.square(x), tf.constant(-1)), real); // [1, H, L]
  }

  /** Zero at padding, where there may be NaN. */
  private static Operand<TFloat64> masked(Ops tf, Operand<TFloat64> x, Operand<TFloat64> real) {
    return tf.math.mulNoNan(x, tf.math.mul(tf.onesLike(x), real));
  }

  private static Operand<TFloat64> wide(Ops tf, Operand<TFloat32> x) {
    return tf.dtypes.cast(x, TFloat64.class);
  }

  /**
   * One real token of one head.
   *
   * @param error squared, of attention's output
   * @param expected the same in closed form for M = 1
   * @param output squared length of exact attention's output, as query and key without the square
   * @param logit largest |q·k|/√D of its query
   * @param effective features that carry its denominator
   */
  private record Token(
      double error,
      double expected,
      double output,
      double query,
      double key,
      double logit,
      double effective) {}

  /** What was measured at every real token of a layer, head by head. */
  private static final class Tokens {
    private static final int PARTS = 8;

    private final int layer;
    private final FavorConfig favor;
    private final List<List<Token>> heads;

    Tokens(int layer, FavorConfig favor, int heads) {
      this.layer = layer;
      this.favor = favor;
      this.heads = IntStream.range(0, heads).<List<Token>>mapToObj(h -> new ArrayList<>()).toList();
    }

    /** Adds a sequence: the parts of {@link Token}, then 1 at real tokens, {@code [8, 1, H, L]}. */
    void add(double[] measures) {
      int part = measures.length / PARTS;
      int length = part / heads.size();
      for (int i = 0; i < part; i++) {
        int at = i;
        double[] m = IntStream.range(0, PARTS).mapToDouble(j -> measures[j * part + at]).toArray();
        if (m[7] != 0) {
          heads.get(i / length).add(new Token(m[0], m[1], m[2], m[3], m[4], m[5], m[6]));
        }
      }
    }

    Row row() {
      List<Token> all = heads.stream().flatMap(List::stream).toList();
      return new Row(layer, favor, errors(all), heads.stream().map(this::errors).toList());
    }

    private Errors errors(List<Token> tokens) {
      boolean isKnown = ExpectedError.isKnown(favor.kernel());
      ToDoubleFunction<Token> expected = token -> token.expected / favor.features();
      return new Errors(
          sum(tokens, Token::query) / tokens.size(),
          largest(tokens, Token::query),
          sum(tokens, Token::key) / tokens.size(),
          largest(tokens, Token::key),
          largest(tokens, Token::logit),
          sum(tokens, Token::effective) / tokens.size(),
          relative(tokens, Token::error),
          isKnown ? relative(tokens, expected) : Double.NaN,
          median(tokens, Token::error),
          isKnown ? median(tokens, expected) : Double.NaN);
    }

    private static double sum(List<Token> tokens, ToDoubleFunction<Token> part) {
      return tokens.stream().mapToDouble(part).sum();
    }

    private static double largest(List<Token> tokens, ToDoubleFunction<Token> part) {
      return tokens.stream().mapToDouble(part).max().orElse(0);
    }

    private static double relative(List<Token> tokens, ToDoubleFunction<Token> square) {
      return relative(sum(tokens, square), sum(tokens, Token::output));
    }

    private static double median(List<Token> tokens, ToDoubleFunction<Token> square) {
      ToDoubleFunction<Token> ratio = t -> relative(square.applyAsDouble(t), t.output);
      double[] sorted = tokens.stream().mapToDouble(ratio).sorted().toArray();
      return sorted.length == 0 ? 0 : sorted[sorted.length / 2];
    }

    /** Infinite where double precision has ended. */
    private static double relative(double square, double size) {
      double ratio = square / Math.max(size, 1e-300);
      return Double.isNaN(ratio) ? Double.POSITIVE_INFINITY : Math.sqrt(ratio);
    }
  }
}
