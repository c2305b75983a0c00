package dev.performer.study;

import static dev.performer.PerformerException.require;
import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.attention.Kernel;
import dev.performer.data.DataFile;
import dev.performer.data.ProteinVocabulary;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Commands from their start to their end, as a user feels them, on a small causal model of random
 * weights.
 *
 * @param program what a command's words follow
 * @param commands words, of which some are {@link RowsBenchmark#MODEL}, {@link RowsBenchmark#INPUT}
 *     and {@link RowsBenchmark#OUTPUT}
 */
public record StartBenchmark(Size size, List<String> program, List<List<String>> commands)
    implements Benchmark<StartBenchmark.Case> {
  private record Row(String command, Timing timing) {}

  private record Json(List<Row> rows) {}

  @Override
  public String name() {
    return "start-up";
  }

  @Override
  public List<Case> cases() {
    return commands.stream().map(words -> new Case(program, words, size, null)).toList();
  }

  @Override
  public String table(List<Case> rows) {
    Table table = new Table("command | fastest ms | median ms | CPU ms");
    for (Case row : rows) {
      Timing t = row.result;
      String cells =
          t == null
              ? "– | – | –"
              : format("%.0f | %.0f | %.0f", t.minMs(), t.medianMs(), t.cpuMs());
      table.row(row.label() + " | " + cells);
    }
    return table.toString();
  }

  @Override
  public Record json(List<Case> rows) {
    Stream<Case> done = rows.stream().filter(c -> c.result != null);
    return new Json(done.map(c -> new Row(c.label(), c.result)).toList());
  }

  /** One command, again and again. */
  record Case(List<String> program, List<String> words, Size size, Timing result)
      implements InTurns<Case> {
    private static final String RUN = "run";
    private static final int LENGTH = 64;
    private static final double START_SECONDS = 10;
    private static final double RUN_SECONDS = 2;

    @Override
    public String label() {
      return words.get(0);
    }

    @Override
    public String line() {
      return format("%-28s %.0f ms, median %.0f ms", label(), result.minMs(), result.medianMs());
    }

    @Override
    public String group() {
      return "start-up";
    }

    @Override
    public Case with(Map<String, Timing> timings) {
      return new Case(program, words, size, timings.get(RUN));
    }

    @Override
    public Open open() throws IOException {
      Path folder = Files.createTempDirectory("performer-bench");
      Path model = folder.resolve("model");
      Path input = folder.resolve("rows.csv");
      ObjectNode keys = new BenchmarkedAttention(Kernel.DEFAULT).model(2 * LENGTH, size);
      keys.put("vocabularySize", ProteinVocabulary.google().size());
      RandomModel.write(keys, ServingBenchmark.Case.card(), model);
      byte[] row =
          ("sequence\n" + ServingBenchmark.Case.letters(1, LENGTH) + "\n")
              .getBytes(StandardCharsets.UTF_8);
      DataFile.write(input, out -> out.write(row));
      List<String> command = new ArrayList<>(program);
      for (String word : words) {
        command.add(RowsBenchmark.filled(word, model, input, folder.resolve("out.csv")));
      }
      return new Open() {
        @Override
        public Map<String, InTurns.Work> work() {
          return Map.of(RUN, () -> runOnce(command, folder));
        }

        @Override
        public void close() {
          AtomicFiles.discard(folder);
        }
      };
    }

    private void runOnce(List<String> command, Path folder) {
      try {
        Path log = folder.resolve("log");
        Files.deleteIfExists(folder.resolve("out.csv"));
        var builder = new ProcessBuilder(command).redirectErrorStream(true);
        int code = builder.redirectOutput(log.toFile()).start().waitFor();
        String text = "%s ended with exit code %d: %s";
        require(code == 0, text, label(), code, code == 0 ? "" : Files.readString(log).strip());
      } catch (IOException e) {
        throw new PerformerException(label() + ": cannot be run: " + e.getMessage(), e);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new PerformerException("interrupted", e);
      }
    }

    @Override
    public double seconds() {
      return START_SECONDS + 3 * RUN_SECONDS;
    }

    @Override
    public double roundSeconds() {
      return RUN_SECONDS;
    }
  }
}
