package dev.performer.cli;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.data.OutputFile;
import dev.performer.study.ApproximationStudy;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.markers.SeriesMarkers;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures how close FAVOR+ comes to softmax attention (the paper's figure 4). */
@Command(
    name = "approximate",
    description = {
      "How close FAVOR+ is to softmax attention: mean squared error over the variance of the exact"
          + " output, for kernels, projections and numbers of features.",
      "The defaults are the protocol of the paper's figure 4.",
      "",
      "With --model and --data: how close FAVOR+ is on a model's own queries, keys and values, layer by layer; for a model with",
      "exact attention, as 'convert' would make it."
    },
    sortOptions = false)
public final class ApproximateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--kernels",
      split = ",",
      description = "Kernels that estimate softmax. Default: ${DEFAULT-VALUE}.")
  private List<Kernel> kernels = Kernel.unbiased();

  @Option(
      names = "--features",
      split = ",",
      defaultValue = "16,32,64,128,256,512",
      description =
          "M, directions of the projection; some kernels make two features of each. Default:"
              + " ${DEFAULT-VALUE}.")
  private List<Integer> features;

  @Option(
      names = "--projections",
      split = ",",
      defaultValue = "iid,orthogonal",
      description = "How directions are drawn: iid, orthogonal. Default: ${DEFAULT-VALUE}.")
  private List<Projection.Directions> projections;

  @Option(
      names = "--row-lengths",
      split = ",",
      defaultValue = "chi,sqrt-d",
      description =
          "How long directions are: chi (unbiased), sqrt-d (regularised). Default:"
              + " ${DEFAULT-VALUE}.")
  private List<Projection.Lengths> rowLengths;

  @Option(
      names = "--convention",
      defaultValue = "performer",
      description = "Whose constants and guards. Default: ${DEFAULT-VALUE}.")
  private String convention;

  @Option(
      names = "--length",
      defaultValue = "4096",
      description = "L, positions. Default: ${DEFAULT-VALUE}.")
  private int length;

  @Option(names = "--head-size", defaultValue = "16", description = "D. Default: ${DEFAULT-VALUE}.")
  private int headSize;

  @Option(
      names = "--amplitude",
      defaultValue = "0.5",
      description = "Standard deviation of queries and keys. Default: ${DEFAULT-VALUE}.")
  private double amplitude;

  @Option(
      names = "--draws",
      defaultValue = "15",
      description = "Draws of data and projection to average. Default: ${DEFAULT-VALUE}.")
  private int draws;

  @Option(
      names = "--seed",
      defaultValue = "1",
      description = "Seed of all draws. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(names = "--causal", description = "Both attentions causal.")
  private boolean causal;

  @Option(
      names = "--model",
      paramLabel = "MODEL",
      description = "Measure on this model; one kernel, features and so on may be given to try.")
  private Path model;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "With --model: sequences, FASTA or an .npz with 'tokens' and 'mask' [N, L].")
  private Path data;

  @Option(
      names = "--sequences",
      defaultValue = "16",
      description =
          "With --model: how many, evenly spread over the data, cropped to 256 tokens where --length"
              + " does not say otherwise. Default: ${DEFAULT-VALUE}.")
  private int sequences;

  @Mixin private OutputOptions output;

  @Option(names = "--plot", paramLabel = "FILE.png", description = "Also draw the table.")
  private Path plot;

  @Override
  public Integer call() {
    if (model != null || data != null) {
      return ofModel();
    }
    ApproximationStudy study =
        new ApproximationStudy(
            length, headSize, amplitude, draws, seed, Convention.of(convention), causal);
    PrintWriter log = spec.commandLine().getErr();
    List<ApproximationStudy.Row> rows =
        study.run(
            variants(),
            features,
            row ->
                log.printf(
                    Locale.ROOT,
                    "%s, M=%d: %s%n",
                    row.variant(),
                    row.features(),
                    number(row.error())));
    log.flush();
    if (plot != null) {
      draw(rows);
    }
    output.text().print(table(rows));
    output.printJson(json(rows));
    return 0;
  }

  private int ofModel() {
    if (model == null || data == null || sequences < 1) {
      throw new UsageException("--model and --data go together; --sequences is at least 1");
    }
    int longest = isGiven("--length") ? length : ModelApproximation.DEFAULT_LENGTH;
    ModelApproximation study =
        new ModelApproximation(
            model,
            FavorConfig.builder()
                .kernel(only("--kernels", kernels))
                .features(only("--features", features))
                .directions(only("--projections", projections))
                .lengths(only("--row-lengths", rowLengths))
                .seed(isGiven("--seed") ? seed : null));
    ModelApproximation.Measured measured = study.measure(data, sequences, longest);
    measured.notes().forEach(System.err::println);
    if (plot != null) {
      measured.draw(plot);
    }
    output.text().print(measured.table());
    output.printJson(measured.json());
    return 0;
  }

  /** The one value that was given; null for none. */
  private <T> T only(String name, List<T> values) {
    if (!isGiven(name)) {
      return null;
    }
    if (values.size() != 1) {
      throw new UsageException(name + " takes one value with --model");
    }
    return values.get(0);
  }

  private boolean isGiven(String name) {
    return spec.commandLine().getParseResult().hasMatchedOption(name);
  }

  private List<ApproximationStudy.Variant> variants() {
    List<ApproximationStudy.Variant> variants = new ArrayList<>();
    for (Kernel kernel : kernels) {
      for (Projection.Directions direction : projections) {
        for (Projection.Lengths rowLength : rowLengths) {
          variants.add(new ApproximationStudy.Variant(kernel, direction, rowLength));
        }
      }
    }
    return variants;
  }

  private String table(List<ApproximationStudy.Row> rows) {
    StringBuilder text = new StringBuilder("| kernel | projection | row lengths |");
    features.forEach(m -> text.append(" M=").append(m).append(" |"));
    text.append("\n|---|---|---|").append("---|".repeat(features.size())).append('\n');
    byVariant(rows)
        .forEach(
            (v, list) -> {
              text.append("| %s | %s | %s |".formatted(v.kernel(), v.directions(), v.lengths()));
              list.forEach(r -> text.append(' ').append(number(r.error())).append(" |"));
              text.append('\n');
            });
    return text.toString();
  }

  private static Map<ApproximationStudy.Variant, List<ApproximationStudy.Row>> byVariant(
      List<ApproximationStudy.Row> rows) {
    Map<ApproximationStudy.Variant, List<ApproximationStudy.Row>> result = new LinkedHashMap<>();
    rows.forEach(r -> result.computeIfAbsent(r.variant(), v -> new ArrayList<>()).add(r));
    return result;
  }

  private static String number(double x) {
    return String.format(Locale.ROOT, x >= 100 ? "%.0f" : x >= 0.1 ? "%.2f" : "%.4f", x);
  }

  private Map<String, Object> json(List<ApproximationStudy.Row> rows) {
    Map<String, Object> root = new LinkedHashMap<>();
    root.put("length", length);
    root.put("headSize", headSize);
    root.put("amplitude", amplitude);
    root.put("draws", draws);
    root.put("seed", seed);
    root.put("convention", convention);
    root.put("causal", causal);
    List<Map<String, Object>> list = new ArrayList<>();
    for (ApproximationStudy.Row r : rows) {
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("kernel", r.variant().kernel().label());
      row.put("projection", r.variant().directions().toString());
      row.put("rowLengths", r.variant().lengths().toString());
      row.put("features", r.features());
      row.put("error", r.error());
      row.put("standardError", r.standardError());
      list.add(row);
    }
    root.put("rows", list);
    return root;
  }

  private void draw(List<ApproximationStudy.Row> rows) {
    XYChart chart =
        new XYChartBuilder()
            .width(1000)
            .height(650)
            .title("FAVOR+ against softmax: L=" + length + ", D=" + headSize)
            .xAxisTitle("directions M")
            .yAxisTitle("mean squared error / variance")
            .build();
    chart.getStyler().setXAxisLogarithmic(true).setYAxisLogarithmic(true);
    byVariant(rows)
        .forEach(
            (v, list) ->
                chart
                    .addSeries(
                        v.toString(),
                        list.stream().mapToDouble(ApproximationStudy.Row::features).toArray(),
                        list.stream().mapToDouble(ApproximationStudy.Row::error).toArray())
                    .setMarker(SeriesMarkers.CIRCLE));
    OutputFile.write(
        plot, out -> BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG));
  }
}
