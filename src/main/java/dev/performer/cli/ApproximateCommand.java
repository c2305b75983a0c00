package dev.performer.cli;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.chart.Chart;
import dev.performer.data.DataFile;
import dev.performer.distill.ModelSequences;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.study.ApproximationStudy;
import dev.performer.study.ModelApproximation;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures how close FAVOR+ comes to softmax attention (the paper's figure 4). */
@Command(
    name = "approximate",
    description = {
      "How close FAVOR+ is to softmax attention: mean squared error over the variance of the exact output, for kernels,",
      "projections and numbers of features.",
      "The defaults are the protocol of the paper's figure 4.",
      "",
      "With --model and --data: how close FAVOR+ is on a model's own queries, keys and values, layer by layer; for a model with",
      "exact attention, as 'convert' would make it."
    },
    sortOptions = false)
final class ApproximateCommand extends PerformerCommand {
  @Spec private CommandSpec spec;

  @Option(names = "--kernels", split = ",", description = "Kernels that estimate softmax.")
  private List<Kernel> kernels = Kernel.unbiased();

  @Option(
      names = "--features",
      split = ",",
      description = "M, directions of the projection; some kernels make two features of each.")
  private List<Integer> features = List.of(16, 32, 64, 128, 256, 512);

  @Option(names = "--projections", split = ",", description = "How directions are drawn.")
  private List<Directions> projections = List.of(Directions.IID, Directions.ORTHOGONAL);

  @Option(names = "--row-lengths", split = ",", description = "chi: unbiased, sqrt-d: regularised.")
  private List<Lengths> rowLengths = List.of(Lengths.values());

  @Option(names = "--convention", description = "Whose constants and guards.")
  private Convention convention = Convention.PERFORMER;

  @Option(names = "--length", description = "L, positions.")
  private int length = 4096;

  @Option(names = "--head-size", description = "D.")
  private int headSize = 16;

  @Option(names = "--amplitude", description = "Standard deviation of queries and keys.")
  private double amplitude = 0.5;

  @Option(names = "--draws", description = "Draws of data and projection to average.")
  private int draws = 15;

  @Option(names = "--seed", description = "Seed of all draws.")
  private long seed = 1;

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
      description =
          "With --model: how many, evenly spread, cropped to --length (default: 16; 256).")
  private int sequences = 16;

  @Option(names = "--plot", paramLabel = "FILE.png", description = "Also draw the table.")
  private Path plot;

  @Override
  public Integer call() {
    return model != null || data != null ? ofModel() : ofGaussians();
  }

  private int ofGaussians() {
    var study =
        new ApproximationStudy(length, headSize, amplitude, draws, seed, convention, causal);
    var variants = ApproximationStudy.variants(kernels, projections, rowLengths);
    ApproximationStudy.Report report =
        study.run(
            variants,
            features,
            row -> {
              String error = ApproximationStudy.number(row.error());
              System.err.printf("%s, M=%d: %s%n", row.variant(), row.features(), error);
            });
    return report(report.table(), report, report::chart);
  }

  private int ofModel() {
    requireUsage(
        model != null && data != null && sequences >= 1,
        "--model and --data go together; --sequences is at least 1");
    var given =
        FavorConfig.builder()
            .kernel(only("--kernels", kernels))
            .features(only("--features", features))
            .directions(only("--projections", projections))
            .lengths(only("--row-lengths", rowLengths))
            .seed(isGiven("--seed") ? seed : null);
    var loaded = PerformerModels.load(model);
    var study = new ModelApproximation(model.toString(), loaded, given);
    var reader = new ModelSequences(model, loaded, Optional.empty());
    int longest = isGiven("--length") ? length : ModelApproximation.DEFAULT_LENGTH;
    var rows = reader.read(data, study.longest(longest)).atMost(sequences);
    var errors = study.measure(rows.rows(), reader.pad(), reader.paddedLength());
    rows.notes().forEach(System.err::println);
    return report(errors.table(), errors.json(), errors::chart);
  }

  private int report(String table, Object json, Supplier<Chart> chart) {
    if (plot != null) {
      byte[] png = chart.get().png();
      DataFile.write(plot, out -> out.write(png));
    }
    text().print(table);
    return done(json);
  }

  /** The one value that was given; null for none. */
  private <T> T only(String name, List<T> values) {
    if (!isGiven(name)) {
      return null;
    }
    requireUsage(values.size() == 1, "%s takes one value with --model", name);
    return values.get(0);
  }

  private boolean isGiven(String name) {
    return spec.commandLine().getParseResult().hasMatchedOption(name);
  }
}
