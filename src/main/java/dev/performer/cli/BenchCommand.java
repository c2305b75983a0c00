package dev.performer.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import dev.performer.PerformerException;
import dev.performer.data.OutputFile;
import dev.performer.study.AttentionBenchmark;
import dev.performer.study.AttentionBenchmark.Case;
import dev.performer.study.AttentionBenchmark.Measurement;
import dev.performer.study.AttentionBenchmark.Row;
import dev.performer.study.BenchmarkReport;
import dev.performer.study.BenchmarkedAttention;
import dev.performer.study.GenerationBenchmark;
import dev.performer.study.GenerationReport;
import dev.performer.study.TrainingBenchmark;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * {@code bench}: time and memory of FAVOR+ against exact softmax attention (the paper's figure 3).
 */
@Command(
    name = "bench",
    description = "Measure time and peak memory of attention against exact softmax attention.")
final class BenchCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;

  @Option(
      names = "--train",
      description =
          "Measure whole training steps of a causal language model of 4 layers by heads × head size,"
              + " 4 × 64 by default, in place of attention alone.")
  private boolean train;

  @Option(
      names = "--compute",
      split = ",",
      description =
          "With --train: PLAIN, XLA (the step compiled), BFLOAT16 (dense layers), or several"
              + " (default: PLAIN).")
  private List<TrainingBenchmark.Compute> computes = List.of(TrainingBenchmark.Compute.PLAIN);

  @Option(
      names = "--lengths",
      split = ",",
      description = {
        "Sequence lengths (default: 512,1024,2048,4096,8192,16384; with --train 1024,4096; with",
        "--generate 128,256,512,1024, of which the largest is generated)."
      })
  private List<Integer> lengths;

  @Option(
      names = "--generate",
      description = {
        "Measure generation in place of attention: a token by the recurrent form against computing",
        "the whole prefix again (a causal model of 4 layers as wide as heads × head size)."
      })
  private boolean generate;

  @Option(
      names = "--batch",
      defaultValue = "1",
      description = "Batch size B (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(names = "--heads", description = "Heads H (default: 8; with --train 4).")
  private Integer heads;

  @Option(
      names = "--head-size",
      defaultValue = "64",
      description = "Head size D (default: ${DEFAULT-VALUE}).")
  private int headSize;

  @Option(
      names = "--features",
      description = "Random features M of the softmax kernel (default: 256; with --train 128).")
  private Integer features;

  @Option(
      names = "--attention",
      split = ",",
      description = "Only these: exact, or kernels of FAVOR+ (default: ${DEFAULT-VALUE}).")
  private List<BenchmarkedAttention> attentions = BenchmarkedAttention.DEFAULTS;

  @Option(
      names = "--output",
      defaultValue = "build/bench",
      description = "Folder for bench.json, bench.md and bench.png (default: ${DEFAULT-VALUE}).")
  private Path folder;

  @Override
  public Integer call() throws JsonProcessingException {
    fillIn();
    check();
    prepare();
    return train ? training() : generate ? generation() : attention();
  }

  private int attention() throws JsonProcessingException {
    List<Row> rows = measure();
    BenchmarkReport.plot(rows, folder.resolve("bench.png"));
    write("bench", BenchmarkReport.table(rows, lengths), json(rows));
    return 0;
  }

  private int generation() throws JsonProcessingException {
    List<GenerationBenchmark.Measurement> rows = new ArrayList<>();
    for (BenchmarkedAttention attention : attentions) {
      System.err.println("measuring " + attention.label());
      rows.add(GenerationBenchmark.measure(attention, batch, heads, headSize, features, lengths));
    }
    GenerationReport.plot(rows, folder.resolve("generate.png"));
    Map<String, Object> json = settings();
    json.put("rows", rows);
    write("generate", GenerationReport.table(rows, lengths), json);
    return 0;
  }

  private void write(String name, String table, Map<String, Object> json)
      throws JsonProcessingException {
    output.text().println(table);
    byte[] text =
        (new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n")
            .getBytes(StandardCharsets.UTF_8);
    OutputFile.write(
        folder.resolve(name + ".md"), out -> out.write(table.getBytes(StandardCharsets.UTF_8)));
    OutputFile.write(folder.resolve(name + ".json"), out -> out.write(text));
    boolean plotted = Files.exists(folder.resolve(name + ".png"));
    output
        .text()
        .printf(
            "Written: %s, %s.md%s%n",
            folder.resolve(name + ".json"), name, plotted ? ", " + name + ".png" : "");
    output.printJson(json);
  }

  private void fillIn() {
    if (lengths == null) {
      lengths =
          train
              ? List.of(1024, 4096)
              : generate
                  ? List.of(128, 256, 512, 1024)
                  : List.of(512, 1024, 2048, 4096, 8192, 16384);
    }
    heads = heads != null ? heads : train ? 4 : 8;
    features = features != null ? features : train ? 128 : 256;
  }

  private int training() throws JsonProcessingException {
    List<TrainingBenchmark.Row> rows = new ArrayList<>();
    for (int length : lengths) {
      for (BenchmarkedAttention attention : attentions) {
        if (attention.equals(BenchmarkedAttention.EXACT)
            && TrainingBenchmark.exactBytes(batch, heads, length) > availableBytes()) {
          System.err.printf(
              "%s L=%d skipped: needs more memory than there is%n", attention.label(), length);
          continue;
        }
        var model = TrainingBenchmark.model(attention, length, heads, headSize, features);
        for (TrainingBenchmark.Compute compute : computes) {
          rows.add(TrainingBenchmark.measure(attention, compute, length, batch, model));
        }
      }
    }
    String table = TrainingBenchmark.table(rows, batch);
    Map<String, Object> json = settings();
    json.put("trainingSteps", TrainingBenchmark.json(rows, batch));
    write("train-bench", table, json);
    return 0;
  }

  /** Before minutes of measuring, not after. */
  private void prepare() {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new PerformerException(
          folder
              + ": no folder can be made there ("
              + e.getMessage()
              + "); choose another --output",
          e);
    }
    if (!Files.isWritable(folder)) {
      throw new PerformerException(folder + ": cannot be written to; choose another --output");
    }
  }

  private void check() {
    if (train && generate) {
      throw new UsageException("--train and --generate exclude each other");
    }
    if (!train && !computes.equals(List.of(TrainingBenchmark.Compute.PLAIN))) {
      throw new UsageException("--compute needs --train");
    }
    for (int value : List.of(batch, heads, headSize, features)) {
      if (value < 1) {
        throw new UsageException(
            "--batch, --heads, --head-size and --features must be at least 1, not " + value);
      }
    }
    if (lengths.isEmpty() || lengths.stream().anyMatch(l -> l < 1)) {
      throw new UsageException("--lengths must be a list of positive numbers, not " + lengths);
    }
    if (generate && Collections.max(lengths) < GenerationBenchmark.LEAST_TOKENS) {
      throw new UsageException(
          "--generate needs a length of at least " + GenerationBenchmark.LEAST_TOKENS);
    }
  }

  private List<Row> measure() {
    List<Row> rows = new ArrayList<>();
    for (int length : lengths) {
      for (boolean causal : new boolean[] {false, true}) {
        for (BenchmarkedAttention attention : attentions) {
          Case c = new Case(attention, causal, batch, length, heads, headSize, features);
          Measurement m = null;
          if (attention.equals(BenchmarkedAttention.EXACT)
              && AttentionBenchmark.exactBytes(c) > availableBytes()) {
            System.err.printf(
                "%-28s L=%-6d skipped: needs more memory than there is%n", c.label(), length);
          } else {
            m = AttentionBenchmark.fork(c);
            System.err.printf(
                "%-28s L=%-6d forward %8.1f ms, forward+backward %8.1f ms, peak %6.0f MB%n",
                c.label(), length, m.forwardMs(), m.trainMs(), m.trainMb());
          }
          rows.add(new Row(c, m));
        }
      }
    }
    return rows;
  }

  private static long availableBytes() {
    var os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return os.getTotalMemorySize() * 3 / 4;
  }

  private Map<String, Object> json(List<Row> rows) {
    List<Map<String, Object>> list = new ArrayList<>();
    for (Row row : rows) {
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("attention", row.measured().attention().label());
      entry.put("causal", row.measured().causal());
      entry.put("length", row.measured().length());
      entry.put("measurement", row.measurement());
      list.add(entry);
    }
    Map<String, Object> json = settings();
    json.put("rows", list);
    json.put("ratios", BenchmarkReport.ratios(rows));
    return json;
  }

  private Map<String, Object> settings() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("date", Instant.now().toString());
    json.put("batch", batch);
    json.put("heads", heads);
    json.put("headSize", headSize);
    json.put("features", features);
    json.put("cores", Runtime.getRuntime().availableProcessors());
    return json;
  }
}
