package dev.performer.cli;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.chart.Chart;
import dev.performer.data.OutputFile;
import dev.performer.data.TokenRows;
import dev.performer.distill.ModelSequences;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.study.ApproximationReport;
import dev.performer.study.ApproximationStudy;
import dev.performer.study.LayerErrors;
import dev.performer.study.ModelApproximation;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
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
          "With --model: how many, evenly spread over the data, cropped to 256 tokens where no --length"
              + " is given. Default: ${DEFAULT-VALUE}.")
  private int sequences;

  @Mixin private OutputOptions output;

  @Option(names = "--plot", paramLabel = "FILE.png", description = "Also draw the table.")
  private Path plot;

  @Override
  public Integer call() {
    return model != null || data != null ? ofModel() : ofGaussians();
  }

  private int ofGaussians() {
    ApproximationStudy study =
        new ApproximationStudy(
            length, headSize, amplitude, draws, seed, Convention.of(convention), causal);
    PrintWriter log = spec.commandLine().getErr();
    ApproximationReport report =
        study.run(
            ApproximationStudy.variants(kernels, projections, rowLengths),
            features,
            row ->
                log.printf(
                    Locale.ROOT,
                    "%s, M=%d: %s%n",
                    row.variant(),
                    row.features(),
                    ApproximationReport.number(row.error())));
    log.flush();
    return print(report.table(), report, report::chart);
  }

  private int ofModel() {
    if (model == null || data == null || sequences < 1) {
      throw new UsageException("--model and --data go together; --sequences is at least 1");
    }
    FavorKeys given =
        FavorConfig.builder()
            .kernel(only("--kernels", kernels))
            .features(only("--features", features))
            .directions(only("--projections", projections))
            .lengths(only("--row-lengths", rowLengths))
            .seed(isGiven("--seed") ? seed : null);
    PerformerModels.Saved loaded = PerformerModels.load(model);
    ModelApproximation study = new ModelApproximation(model.toString(), loaded, given);
    ModelSequences reader = new ModelSequences(model, loaded, Optional.empty());
    int longest = isGiven("--length") ? length : ModelApproximation.DEFAULT_LENGTH;
    TokenRows rows = reader.read(data, study.longest(longest)).atMost(sequences);
    LayerErrors errors = study.measure(rows.rows(), reader.pad(), reader.paddedLength());
    rows.notes().forEach(System.err::println);
    return print(errors.table(), errors.json(), errors::chart);
  }

  private int print(String table, Object json, Supplier<Chart> chart) {
    if (plot != null) {
      byte[] png = chart.get().png();
      OutputFile.write(plot, out -> out.write(png));
    }
    output.text().print(table);
    output.printJson(json);
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
}
