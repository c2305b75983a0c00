package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.graph.Variable;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dropout;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Hidden states of a whole encoder on random tokens, by attention and length L, as an exported
 * model computes them.
 */
public record EncoderBenchmark(
    Size size, List<Integer> lengths, List<BenchmarkedAttention> attentions, int layers)
    implements Benchmark<EncoderBenchmark.Case> {
  /** Checks lengths. */
  public EncoderBenchmark {
    lengths = Size.checked(lengths);
  }

  @Override
  public String name() {
    return "encoder";
  }

  @Override
  public List<Case> cases() {
    return lengths.stream()
        .flatMap(l -> attentions.stream().map(a -> new Case(a, l, layers, size, null)))
        .toList();
  }

  /** Microseconds a token, and what that is of the first attention's. */
  @Override
  public String table(List<Case> rows) {
    String first = attentions.get(0).label();
    Table table = new Table("attention | L | ms | µs a token | of " + first);
    for (Case row : rows) {
      String measured =
          row.result == null
              ? "– | – | –"
              : format(
                  "%.1f | %.2f | %.2f×", row.result.pass.minMs(), row.perToken(), share(rows, row));
      table.row(format("%s | %d | %s", row.attention.label(), row.length, measured));
    }
    return table + "\nForward, the fastest run of all rounds.\n";
  }

  private double share(List<Case> rows, Case of) {
    return rows.stream()
        .filter(row -> row.result != null && row.length == of.length)
        .filter(row -> row.attention.equals(attentions.get(0)))
        .mapToDouble(row -> of.perToken() / row.perToken())
        .findFirst()
        .orElse(Double.NaN);
  }

  private record Row(
      String attention, int length, double microsecondsPerToken, double share, Timing forward) {}

  private record Json(List<Row> encoders) {}

  @Override
  public Record json(List<Case> rows) {
    return new Json(
        rows.stream()
            .filter(row -> row.result != null)
            .map(
                row ->
                    new Row(
                        row.attention.label(),
                        row.length,
                        row.perToken(),
                        share(rows, row),
                        row.result.pass))
            .toList());
  }

  /** One pass over all tokens. */
  record Measured(Timing pass) {}

  /** An encoder whose layers attend in one way, at one length. */
  record Case(BenchmarkedAttention attention, int length, int layers, Size size, Measured result)
      implements InTurns<Case> {
    private static final String FORWARD = "forward";
    private static final int VOCABULARY = 256;
    private static final double START_SECONDS = 5;
    private static final double OPERATIONS_A_SECOND = 1e11;
    private static final double SHORTEST_SECONDS = 0.15;

    @Override
    public String label() {
      return attention.label() + ", an encoder at L=" + length;
    }

    @Override
    public String line() {
      return format(
          "%-28s L=%-6d %8.1f ms, %.2f µs a token",
          attention.label(), length, result.pass.minMs(), perToken());
    }

    private double perToken() {
      return 1e3 * result.pass.minMs() / ((double) size.batch() * length);
    }

    @Override
    public String group() {
      return "L=" + length;
    }

    @Override
    public Case with(Map<String, Timing> timings) {
      return new Case(attention, length, layers, size, new Measured(timings.get(FORWARD)));
    }

    @Override
    public Map<String, Cost> costs() {
      return Map.of(FORWARD, Cost.ofFlop(layers * attention.layerFlop(false, length, size)));
    }

    @Override
    public Open open() {
      ObjectNode keys = attention.encoder(length, size);
      keys.put("layers", layers).put("preset", "performer").put("vocabularySize", VOCABULARY);
      keys.put("positions", "learned").putNull("padId");
      PerformerConfig config = PerformerConfig.of(keys, "the benchmark's model");
      TimedGraph timed = new TimedGraph();
      Ops tf = timed.tf();
      Performer.build(tf, timed.variables(), config, 1);
      var ids = new SplittableRandom(1).ints((long) size.batch() * length, 0, VOCABULARY);
      var value = tf.reshape(tf.constant(ids.toArray()), tf.array(size.batch(), length));
      Variable tokens = timed.variables().create("timed/tokens", value.shape(), false, value);
      Performer model = Performer.over(config, timed.variables()::get);
      var outputs = model.apply(tf, Inputs.of(tokens.<TInt32>read(tf)), Dropout.none());
      Operand<TFloat32> hidden = outputs.sequence(); // [B, L, E]
      timed.add(FORWARD, hidden);
      return timed.initialized();
    }

    @Override
    public double seconds() {
      return START_SECONDS + 3 * roundSeconds();
    }

    @Override
    public double roundSeconds() {
      return Math.max(SHORTEST_SECONDS, costs().get(FORWARD).flop() / OPERATIONS_A_SECOND);
    }

    /** The weights of all pairs of positions, more than once. */
    @Override
    public long leastBytes() {
      return attention.isExact() ? 4L * 3 * size.batch() * size.heads() * length * length : 0;
    }
  }
}
