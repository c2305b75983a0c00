package dev.performer.study;

import static dev.performer.PerformerException.require;
import static dev.performer.study.Table.format;

import dev.performer.attention.FavorAttention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.MachineTuning;
import dev.performer.data.StrictJson;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.types.TFloat32;

/**
 * Causal attention with several chunk lengths, at sizes that models have, and with several numbers
 * of threads: which of them is the fastest on this machine.
 *
 * @param heads H
 * @param length L
 */
public record TuningBenchmark(int heads, int length, List<Form> forms)
    implements Benchmark<TuningBenchmark.Case> {
  /** The usual sizes of heads and features. */
  public static final TuningBenchmark USUAL =
      new TuningBenchmark(
          8,
          2048,
          List.of(
              new Form(0, 32),
              new Form(64, 32),
              new Form(128, 32),
              new Form(0, 64),
              new Form(128, 64),
              new Form(256, 64),
              new Form(512, 64)));

  private static final List<Integer> CHUNKS = List.of(32, 64, 128, 256, 512);

  /** What is not faster than by this changes nothing. */
  private static final double GAIN = 0.97;

  /** M directions, 0 for features that are those of a head, and head size D. */
  public record Form(int directions, int headSize) {
    int features() {
      return directions == 0 ? headSize : directions;
    }
  }

  /** Checks. */
  public TuningBenchmark {
    boolean isFit = heads > 0 && length > 0 && !forms.isEmpty();
    require(isFit, "heads and length must be at least 1, and there must be sizes");
    forms = List.copyOf(forms);
  }

  private record Json(MachineTuning tuning) {}

  @Override
  public String name() {
    return "tune";
  }

  /** The largest. */
  @Override
  public Size size() {
    int d = forms.stream().mapToInt(Form::headSize).max().getAsInt();
    return new Size(1, heads, d, forms.stream().mapToInt(Form::features).max().getAsInt());
  }

  /** Chunks of each form, then threads with the largest one. */
  @Override
  public List<Case> cases() {
    List<Case> cases = new ArrayList<>();
    forms.forEach(form -> cases.add(new Case(form, heads, length, 0, null)));
    int cores = Runtime.getRuntime().availableProcessors();
    Form last = forms.get(forms.size() - 1);
    for (int threads : new TreeSet<>(List.of(1, Math.max(1, cores / 2), cores))) {
      cases.add(new Case(last, heads, length, threads, null));
    }
    return cases;
  }

  @Override
  public String table(List<Case> rows) {
    Table table = new Table("causal attention, forward+backward | fastest | ms | usual, ms");
    for (Case row : rows) {
      if (row.result != null) {
        String best = row.best();
        double usual = row.result.ms(row.usual());
        double ms = row.result.ms(best);
        table.row(row.label() + format(" | %s | %.2f | %.2f", best, ms, usual));
      }
    }
    return table.toString();
  }

  @Override
  public Record json(List<Case> rows) {
    return new Json(tuning(rows));
  }

  /** Keeps what a run found for later processes. @throws PerformerException if it cannot */
  public static void keep(Benchmark.Outcome outcome, Path file) {
    StrictJson.bind(outcome.json().get("tuning"), MachineTuning.class, "the tuning").write(file);
  }

  /** The fastest of what was measured; what is hardly faster than the usual stays as it is. */
  static MachineTuning tuning(List<Case> measured) {
    List<MachineTuning.Chunk> chunks = new ArrayList<>();
    double usual = Double.NaN;
    int threads = 0;
    double fastest = Double.MAX_VALUE;
    for (Case row : measured) {
      if (row.result == null) {
        continue;
      }
      if (row.threads == 0) {
        int chunk = Integer.parseInt(row.best().substring(Case.CHUNK.length()));
        int d = row.form.headSize;
        chunks.add(new MachineTuning.Chunk(row.form.features(), d, chunk));
      } else {
        double ms = row.result.ms(Case.ALL);
        boolean isUsual = row.threads == Runtime.getRuntime().availableProcessors();
        usual = isUsual ? ms : usual;
        if (ms < fastest) {
          fastest = ms;
          threads = row.threads;
        }
      }
    }
    int cores = Runtime.getRuntime().availableProcessors();
    boolean isBetter = threads != cores && fastest < GAIN * usual;
    return MachineTuning.of(isBetter ? threads : 0, chunks);
  }

  /** By name of the work. */
  record Measured(Map<String, Timing> timings) {
    double ms(String work) {
      return timings.get(work).minMs();
    }
  }

  /**
   * @param threads 0 for a case of chunks
   */
  record Case(Form form, int heads, int length, int threads, Measured result)
      implements InTurns<Case> {
    private static final String CHUNK = "C=";
    private static final String ALL = "run";
    private static final double START_SECONDS = 5;
    private static final double ROUND_SECONDS = 0.4;

    @Override
    public String label() {
      String sizes =
          form.directions == 0
              ? "D=" + form.headSize
              : "D=" + form.headSize + ", M=" + form.directions;
      return threads == 0 ? sizes : sizes + ", threads: " + threads;
    }

    @Override
    public String line() {
      return format("%-28s %s, %.2f ms", label(), best(), result.ms(best()));
    }

    /** All threads at once: they are compared with one another. */
    @Override
    public String group() {
      return threads == 0 ? label() : "threads";
    }

    @Override
    public Case with(Map<String, Timing> timings) {
      return new Case(form, heads, length, threads, new Measured(timings));
    }

    /** The work of the chunk length that is the default. */
    private String usual() {
      int usual = FavorConfig.formulaChunk(form.features(), form.headSize);
      return threads != 0 ? ALL : CHUNK + usual;
    }

    private String best() {
      String best = usual();
      double limit = GAIN * result.ms(best);
      for (var one : result.timings.entrySet()) {
        if (one.getValue().minMs() < limit) {
          best = one.getKey();
          limit = one.getValue().minMs();
        }
      }
      return best;
    }

    private FavorConfig config(int chunk) {
      Kernel kernel = form.directions == 0 ? Kernel.CHEAPEST : Kernel.DEFAULT;
      var keys = FavorConfig.builder().kernel(kernel).causal(true).features(form.directions);
      return keys.seed(1L).chunk(chunk).build();
    }

    @Override
    public Open open() {
      TimedGraph timed =
          threads == 0 ? new TimedGraph() : new TimedGraph(MachineTuning.threads(threads));
      var shape = Shape.of(1, heads, length, form.headSize);
      // q, k, v, gradient of the output
      List<Operand<TFloat32>> x = Stream.generate(() -> timed.normal(shape)).limit(4).toList();
      if (threads != 0) {
        add(timed, ALL, 0, x);
      } else {
        var lengths = new TreeSet<>(CHUNKS);
        lengths.add(Integer.parseInt(usual().substring(CHUNK.length())));
        lengths.forEach(chunk -> add(timed, CHUNK + chunk, chunk, x));
      }
      return timed.initialized();
    }

    private void add(TimedGraph timed, String name, int chunk, List<Operand<TFloat32>> x) {
      FavorConfig config = config(chunk);
      var drawn = config.draw(form.headSize).map(p -> p.constant(timed.tf()));
      var attention =
          drawn.map(p -> FavorAttention.of(config, p)).orElseGet(() -> FavorAttention.of(config));
      Operand<TFloat32> out = attention.attend(timed.tf(), x.get(0), x.get(1), x.get(2), null);
      Output<?>[] inputs = x.stream().map(Operand::asOutput).toArray(Output<?>[]::new);
      Output<?>[] outputs = {out.asOutput()};
      Output<?>[] upstream = {inputs[3]};
      Output<?>[] gradients =
          timed
              .graph()
              .addGradients(name.replace('=', '_'), outputs, Arrays.copyOf(inputs, 3), upstream);
      timed.add(name, Stream.concat(Stream.of(out), Stream.of(gradients)).toArray(Op[]::new));
    }

    @Override
    public double seconds() {
      return START_SECONDS;
    }

    @Override
    public double roundSeconds() {
      return ROUND_SECONDS;
    }
  }
}
