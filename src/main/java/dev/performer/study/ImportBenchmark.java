package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.attention.Kernel;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.SavedModelPredictor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** A SavedModel's way into a session, and into a graph that is trained, by number of layers. */
public record ImportBenchmark(Size size, List<Integer> layers)
    implements Benchmark<ImportBenchmark.Case> {
  /** Checks the layers. */
  public ImportBenchmark {
    layers = Size.checked(layers);
  }

  /** For predictions, and with inlined functions for training. */
  record Measured(Timing session, Timing graph) {}

  private record Row(int layers, Measured measurement) {}

  private record Json(List<Row> rows) {}

  @Override
  public String name() {
    return "import";
  }

  @Override
  public List<Case> cases() {
    return layers.stream().map(n -> new Case(n, size, null)).toList();
  }

  @Override
  public String table(List<Case> rows) {
    Table table = new Table("layers | into a session, ms | into a trainable graph, ms");
    for (Case row : rows) {
      Measured m = row.result;
      String cells =
          m == null ? "– | –" : format("%.0f | %.0f", m.session.minMs(), m.graph.minMs());
      table.row(row.layers + " | " + cells);
    }
    return table.toString();
  }

  @Override
  public Record json(List<Case> rows) {
    Stream<Case> done = rows.stream().filter(c -> c.result != null);
    return new Json(done.map(c -> new Row(c.layers, c.result)).toList());
  }

  /** A model of random weights. */
  record Case(int layers, Size size, Measured result) implements InTurns<Case> {
    private static final String SESSION = "into a session";
    private static final String GRAPH = "into a trainable graph";
    private static final int LENGTH = 512;
    private static final double START_SECONDS = 12;
    private static final double LAYER_SECONDS = 0.1;

    @Override
    public String label() {
      return "a model of " + layers + " layers";
    }

    @Override
    public String line() {
      double session = result.session.minMs();
      return format(
          "%-28s into a session %.0f ms, into a graph %.0f ms",
          label(), session, result.graph.minMs());
    }

    @Override
    public String group() {
      return "import";
    }

    @Override
    public Case with(Map<String, Timing> timings) {
      return new Case(layers, size, new Measured(timings.get(SESSION), timings.get(GRAPH)));
    }

    @Override
    public Open open() throws IOException {
      Path folder = Files.createTempDirectory("performer-bench");
      Path model = folder.resolve("model");
      ObjectNode keys = new BenchmarkedAttention(Kernel.DEFAULT).model(LENGTH, size);
      RandomModel.write(keys.put("layers", layers), null, model);
      Map<String, InTurns.Work> work = new LinkedHashMap<>();
      work.put(SESSION, () -> SavedModelPredictor.load(model).close());
      work.put(GRAPH, () -> ImportedModel.load(model).close());
      return new Open() {
        @Override
        public Map<String, InTurns.Work> work() {
          return work;
        }

        @Override
        public void close() {
          AtomicFiles.discard(folder);
        }
      };
    }

    @Override
    public double seconds() {
      return START_SECONDS + 3 * roundSeconds();
    }

    @Override
    public double roundSeconds() {
      return LAYER_SECONDS * layers;
    }
  }
}
