package dev.performer.study;

import static dev.performer.study.Table.columns;
import static dev.performer.study.Table.format;

import dev.performer.graph.LossGradients;
import dev.performer.nn.Activation;
import dev.performer.nn.Dense;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.Parameters;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The parts of a Transformer's layer over the length L, forward and with all gradients. */
public record LayerBenchmark(Size size, List<Integer> lengths)
    implements Benchmark<LayerBenchmark.Case> {
  /** What is measured on its own, of width E with an MLP of 4·E. */
  enum Part {
    /** One product for q, k and v. */
    PROJECTIONS,
    /** Two dense layers with GELU between. */
    MLP,
    NORM,
    /** Logits of 256 tokens. */
    LOGITS
  }

  /** Checks lengths. */
  public LayerBenchmark {
    lengths = Size.checked(lengths);
  }

  /** Of the output alone, and with the gradients of input and weights. */
  record Measured(Timing forward, Timing train) {}

  private record Row(Part part, int length, Measured measurement) {}

  private record Json(List<Row> rows) {}

  @Override
  public String name() {
    return "layers";
  }

  @Override
  public List<Case> cases() {
    return lengths.stream()
        .flatMap(length -> Stream.of(Part.values()).map(part -> new Case(part, length, size, null)))
        .toList();
  }

  /** Milliseconds forward / forward+backward. */
  @Override
  public String table(List<Case> rows) {
    Map<Part, Map<Integer, Measured>> byPart = new LinkedHashMap<>();
    for (Case row : rows) {
      byPart.computeIfAbsent(row.part, p -> new LinkedHashMap<>()).put(row.length, row.result);
    }
    Table table = new Table("part of a layer" + columns(lengths, l -> "L=" + l));
    byPart.forEach(
        (part, results) -> table.row(name(part) + columns(lengths, l -> cell(results.get(l)))));
    return table + "\nForward / forward+backward in milliseconds, the fastest run of all rounds.\n";
  }

  private static String cell(Measured m) {
    return m == null ? "–" : format("%.2f / %.2f ms", m.forward.minMs(), m.train.minMs());
  }

  private static String name(Part part) {
    return part.name().toLowerCase(Locale.ROOT);
  }

  @Override
  public Record json(List<Case> rows) {
    return new Json(
        rows.stream()
            .filter(c -> c.result != null)
            .map(c -> new Row(c.part, c.length, c.result))
            .toList());
  }

  /** One part at one length. */
  record Case(Part part, int length, Size size, Measured result) implements InTurns<Case> {
    private static final String FORWARD = "forward";
    private static final String TRAIN = "forward+backward";
    private static final int TOKENS = 256;
    private static final double EPSILON = 1e-6;
    private static final double START_SECONDS = 4;
    private static final double OPERATIONS_A_SECOND = 1e11;
    private static final double SHORTEST_SECONDS = 0.15;

    @Override
    public String label() {
      return name(part) + " at L=" + length;
    }

    @Override
    public String line() {
      return format("%-28s %s", label(), cell(result));
    }

    @Override
    public String group() {
      return "L=" + length;
    }

    @Override
    public Case with(Map<String, Timing> timings) {
      return new Case(part, length, size, new Measured(timings.get(FORWARD), timings.get(TRAIN)));
    }

    /** Weights are read once a use and their gradients written; inside an MLP is an array more. */
    @Override
    public Map<String, Cost> costs() {
      double e = size.hiddenSize();
      double rows = (double) size.batch() * length;
      double in = rows * e;
      double out = rows * (part == Part.PROJECTIONS ? 3 * e : part == Part.LOGITS ? TOKENS : e);
      double inner = part == Part.MLP ? rows * 4 * e : 0;
      double weights =
          switch (part) {
            case PROJECTIONS -> 3 * e * e;
            case MLP -> 8 * e * e;
            case NORM -> 2 * e;
            case LOGITS -> TOKENS * e;
          };
      double perWeight = part == Part.NORM ? 0 : 2 * rows;
      double element = part == Part.NORM ? 8 * in : 0;
      Cost forward = new Cost(perWeight * weights + element, 4 * (in + out + weights + 4 * inner));
      Cost train =
          new Cost(
              3 * (perWeight * weights + element),
              4 * (3 * in + 3 * out + 3 * weights + 12 * inner));
      return Map.of(FORWARD, forward, TRAIN, train);
    }

    @Override
    public Open open() {
      TimedGraph timed = new TimedGraph();
      Ops tf = timed.tf();
      Operand<TFloat32> x = timed.normal(Shape.of(size.batch(), length, size.hiddenSize()));
      Parameters parameters = Parameters.create(tf, timed.variables(), 1);
      Operand<TFloat32> out = build(tf, parameters, x); // [B, L, ...]
      var weights = timed.variables().trainable(); // x among them
      Operand<TFloat32> upstream = timed.normal(out.shape());
      Output<TFloat32> loss = // its gradient of the output is the upstream one
          tf.reduceSum(tf.math.mul(out, upstream), tf.constant(new int[] {0, 1, 2})).asOutput();
      List<Op> train = new ArrayList<>(List.of(out));
      LossGradients.find(timed.graph(), loss, weights).forEach(g -> g.ifPresent(train::add));
      timed.add(FORWARD, out);
      timed.add(TRAIN, train.toArray(Op[]::new));
      return timed.initialized();
    }

    private Operand<TFloat32> build(Ops tf, Parameters in, Operand<TFloat32> x) {
      int e = size.hiddenSize();
      return switch (part) {
        case PROJECTIONS -> Dense.create(in, e, 3 * e).apply(tf, x);
        case MLP -> {
          Operand<TFloat32> inner = Dense.create(in.in("in"), e, 4 * e).apply(tf, x);
          yield Dense.create(in.in("out"), 4 * e, e)
              .apply(tf, Activation.GELU_TANH.apply(tf, inner));
        }
        case NORM -> LayerNorm.create(in, e, EPSILON, LayerNorm.Formula.TWO_PASS).apply(tf, x);
        case LOGITS -> Dense.create(in, e, TOKENS).apply(tf, x);
      };
    }

    @Override
    public double seconds() {
      return START_SECONDS + 3 * roundSeconds();
    }

    @Override
    public double roundSeconds() {
      double flop = costs().values().stream().mapToDouble(Cost::flop).sum();
      return Math.max(SHORTEST_SECONDS, flop / OPERATIONS_A_SECOND);
    }
  }
}
