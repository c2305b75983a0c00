package dev.performer.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.DataFile;
import dev.performer.pipeline.Converter;
import dev.performer.pipeline.Converter.CalibrationData;
import dev.performer.savedmodel.softmax.FoundAttention;
import dev.performer.study.CalibrationReport;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "convert",
    description = {
      "Replace a model's exact softmax attention by FAVOR+ and keep all weights, or stretch its table of positions.",
      "",
      "A SavedModel of Keras, Hugging Face or anyone else becomes a model with the same signatures and variables: attention is found in",
      "its graph, verified on small inputs, and replaced where linear attention has such a mask; --list shows what was found.",
      "",
      "The result is an approximation: 'approximate --model' measures it, layer by layer, and 'fine-tune --teacher' brings back what",
      "is lost."
    },
    sortOptions = false,
    footer = {
      "",
      "Examples:",
      "  ./performer convert MODEL --attention favor --output favor",
      "  ./performer convert MODEL --list",
      "  ./performer convert MODEL --attention favor --calibrate texts.txt --output favor",
      "  ./performer convert MODEL --interpolate-positions 2048 --output longer",
      "  ./performer convert MODEL --rotary-scaling ntk:4 --output longer"
    })
final class ConvertCommand extends PerformerCommand {
  /** What attention can be converted to. */
  enum Target {
    FAVOR
  }

  @Parameters(
      index = "0",
      paramLabel = "MODEL",
      description = "A SavedModel with exact attention, or a run.")
  private Path source;

  @Option(names = "--attention", description = "To what: favor.")
  private Target attention;

  @Option(
      names = "--calibrate",
      paramLabel = "FILE",
      description =
          "Look where queries and keys lie on these sequences, and put the features there: much nearer to the original, without training. FASTA, text, a table, or an .npz with 'tokens' and 'mask' [N, L].")
  private Path calibration;

  @Option(
      names = "--calibration-sequences",
      paramLabel = "N",
      description = "How many of them, evenly spread (default: ${DEFAULT-VALUE}).")
  private int sequences = CalibrationData.SEQUENCES;

  @Option(
      names = "--report",
      paramLabel = "FILE",
      description = "With --calibrate: what it changed, head by head, as a table in Markdown.")
  private Path report;

  @Mixin private SharedOptions.Conversion options;

  @ArgGroup(multiplicity = "1")
  private Destination destination;

  /** Where the model goes, or nowhere. */
  private static final class Destination {
    @ArgGroup(exclusive = false)
    private SharedOptions.Target target;

    @Option(
        names = "--list",
        description =
            "Show the exact attention that the model's graph has, and what looks like it; write nothing.")
    private boolean list;
  }

  @JsonInclude(JsonInclude.Include.NON_NULL)
  private record Result(
      Path model,
      List<Integer> layers,
      String kernel,
      Integer features,
      Long seed,
      JsonNode calibration,
      List<FoundAttention> found) {}

  @Override
  public Integer call() {
    if (destination.list) {
      List<FoundAttention> found = Converter.found(source);
      found.forEach(each -> print(each.toString()));
      if (found.isEmpty()) {
        print("No softmax in the graph of " + source);
      }
      return done(new Result(null, null, null, null, null, null, found));
    }
    SharedOptions.Target target = destination.target;
    boolean isFavor = attention != null;
    requireUsage(
        isFavor || options.interpolates(),
        "give --attention favor, --interpolate-positions or --rotary-scaling");
    boolean isGiven = options.isGiven() || options.favor.given().isGiven();
    requireUsage(
        isFavor || !isGiven,
        "options of FAVOR+ such as --kernel, --layers and --exact-heads need --attention favor");
    boolean isCalibrated = calibration != null;
    requireUsage(isFavor || !isCalibrated, "--calibrate needs --attention favor");
    requireUsage(isCalibrated || report == null, "--report needs --calibrate");
    requireUsage(sequences >= 1, "--calibration-sequences is at least 1");
    var data = Optional.ofNullable(calibration).map(file -> new CalibrationData(file, sequences));
    var converter = options.converter(isFavor, data);
    var outcome = converter.convert(source, target.path, target.replace);
    print("Written: " + target.path + "; " + outcome.note());
    if (!isFavor) {
      print("Its positions stand closer than they were trained; fine-tune it on long sequences.");
      return done(new Result(target.path, outcome.layers(), null, null, null, null, null));
    }
    outcome.report().filter(of -> report != null).ifPresent(of -> write(of.table()));
    boolean isOurs = outcome.found().isEmpty();
    outcome.found().forEach(each -> print(each.toString()));
    print(
        isOurs
            ? """
        It approximates the original. How well:  ./performer approximate --model %s --data FILE
        To bring back what is lost:  ./performer fine-tune %1$s --teacher %s --data FILE --output RUN"""
            : "It approximates the original; './performer fine-tune %s' trains it further.",
        target.path,
        source);
    var favor = converter.conversion().orElseThrow().favor();
    return done(
        new Result(
            target.path,
            outcome.layers(),
            favor.kernel().label(),
            favor.features(),
            favor.seed(),
            outcome.report().map(CalibrationReport::json).orElse(null),
            isOurs ? null : outcome.found()));
  }

  private void write(String table) {
    DataFile.write(report, out -> out.write(table.getBytes(StandardCharsets.UTF_8)));
    print("Written: " + report);
  }
}
