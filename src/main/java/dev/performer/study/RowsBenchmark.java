package dev.performer.study;

import static dev.performer.PerformerException.require;
import static dev.performer.study.Table.format;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.attention.Kernel;
import dev.performer.data.DataFile;
import dev.performer.data.ProteinVocabulary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Rows a second of commands that run a model on files, with their start: many rows as they come,
 * and fewer, each run alone. The model is causal and of random weights; rows have 20 to 200
 * letters.
 *
 * @param commands by main class and arguments, of which some are {@link #MODEL}, {@link #INPUT} and
 *     {@link #OUTPUT}
 * @param alone more arguments, for rows that run alone
 */
public record RowsBenchmark(Size size, int rows, List<List<String>> commands, List<String> alone)
    implements Benchmark<RowsBenchmark.Case> {
  /** Stands for the model in arguments. */
  public static final String MODEL = "{model}";

  /** Stands for the file of rows. */
  public static final String INPUT = "{input}";

  /** Stands for the file of results. */
  public static final String OUTPUT = "{output}";

  /** So many times fewer rows run alone. */
  private static final int FEWER = 8;

  /** Checks the rows. */
  public RowsBenchmark {
    require(rows >= FEWER, "the number of rows must be at least %d, not %d", FEWER, rows);
  }

  private record Row(String command, boolean alone, int rows, Double perSecond) {}

  private record Json(List<Row> rows) {}

  @Override
  public String name() {
    return "rows";
  }

  @Override
  public List<Case> cases() {
    List<Case> all = new ArrayList<>();
    for (List<String> command : commands) {
      List<String> longer = new ArrayList<>(command);
      longer.addAll(alone);
      all.add(new Case(command, false, rows, size, null));
      all.add(new Case(longer, true, rows / FEWER, size, null));
    }
    return all;
  }

  @Override
  public String table(List<Case> cases) {
    Table table = new Table("command | rows a second | each row alone | times faster");
    for (Case one : cases) {
      double together = perSecond(cases, one.name(), false);
      double apart = perSecond(cases, one.name(), true);
      if (!one.alone) {
        table.row(
            format("%s | %.0f | %.0f | %.1f×", one.name(), together, apart, together / apart));
      }
    }
    return table.toString();
  }

  /** NaN where it was not measured. */
  private static double perSecond(List<Case> cases, String name, boolean alone) {
    return cases.stream()
        .filter(c -> c.result != null && c.alone == alone && c.name().equals(name))
        .mapToDouble(c -> c.result.perSecond)
        .findFirst()
        .orElse(Double.NaN);
  }

  @Override
  public Record json(List<Case> cases) {
    return new Json(
        cases.stream()
            .map(
                c ->
                    new Row(
                        c.name(), c.alone, c.rows, c.result == null ? null : c.result.perSecond))
            .toList());
  }

  /** A word of a command, or the file that it stands for. */
  static String filled(String word, Path model, Path input, Path output) {
    return switch (word) {
      case MODEL -> model.toString();
      case INPUT -> input.toString();
      case OUTPUT -> output.toString();
      default -> word;
    };
  }

  /** Rows over the seconds of the whole command. */
  record Measured(double perSecond) {}

  /** One run of a command in a process of its own. */
  record Case(List<String> command, boolean alone, int rows, Size size, Measured result)
      implements Benchmark.Case<Case> {
    private static final int SHORTEST = 20;
    private static final int LONGEST = 200;
    private static final double START_SECONDS = 6;
    private static final double ROWS_A_SECOND = 1000;

    String name() {
      return command.get(1);
    }

    @Override
    public String label() {
      return "%s, %,d rows%s".formatted(name(), rows, alone ? ", each alone" : "");
    }

    @Override
    public String line() {
      return format("%-36s %.0f rows a second", label(), result.perSecond);
    }

    @Override
    public double seconds() {
      return 2 * START_SECONDS + rows / ROWS_A_SECOND;
    }

    @Override
    public Case measure() throws IOException {
      Path folder = Files.createTempDirectory("performer-bench");
      try {
        Path model = folder.resolve("model");
        Path input = folder.resolve("rows.csv");
        Path output = folder.resolve("out.csv");
        ObjectNode keys = new BenchmarkedAttention(Kernel.DEFAULT).model(2 * LONGEST, size);
        keys.put("vocabularySize", ProteinVocabulary.google().size());
        RandomModel.write(keys, ServingBenchmark.Case.card(), model);
        String text = text();
        DataFile.write(input, out -> out.write(text.getBytes(UTF_8)));
        List<String> words = new ArrayList<>();
        command.forEach(word -> words.add(filled(word, model, input, output)));
        Path log = folder.resolve("log");
        long start = System.nanoTime();
        Process run =
            ServerProcess.fork(words)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        int code = run.waitFor();
        double seconds = (System.nanoTime() - start) / 1e9;
        require(
            code == 0,
            "%s ended with exit code %d: %s",
            label(),
            code,
            Files.readString(log).strip());
        return new Case(command, alone, rows, size, new Measured(rows / seconds));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new PerformerException("interrupted", e);
      } finally {
        AtomicFiles.discard(folder);
      }
    }

    private String text() {
      var random = new SplittableRandom(1);
      StringBuilder text = new StringBuilder("sequence\n");
      for (int r = 0; r < rows; r++) {
        int length = random.nextInt(SHORTEST, LONGEST + 1);
        text.append(ServingBenchmark.Case.letters(random.nextLong(), length)).append('\n');
      }
      return text.toString();
    }
  }
}
