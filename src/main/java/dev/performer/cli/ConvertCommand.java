package dev.performer.cli;

import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "convert",
    description = {
      "Replace a model's exact softmax attention by FAVOR+ and keep all weights, or stretch its table of positions.",
      "",
      "The result is an approximation: 'approximate --model' measures it, layer by layer, and 'fine-tune --teacher' brings back what",
      "is lost."
    },
    sortOptions = false,
    footer = {
      "",
      "Examples:",
      "  ./performer convert MODEL --attention favor --output favor",
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
      description = "A model with exact attention, or a run.")
  private Path source;

  @Option(names = "--attention", description = "To what: favor.")
  private Target attention;

  @Mixin private SharedOptions.Conversion options;
  @Mixin private SharedOptions.Target target;

  private record Result(
      Path model, List<Integer> layers, String kernel, Integer features, Long seed) {}

  @Override
  public Integer call() {
    boolean isFavor = attention != null;
    requireUsage(
        isFavor || options.interpolates(),
        "give --attention favor, --interpolate-positions or --rotary-scaling");
    boolean isGiven = options.isGiven() || options.favor.given().isGiven();
    requireUsage(
        isFavor || !isGiven,
        "options of FAVOR+ such as --kernel, --layers and --exact-heads need --attention favor");
    var converter = options.converter(isFavor);
    var outcome = converter.convert(source, target.path, target.replace);
    print("Written: " + target.path + "; " + outcome.note());
    if (!isFavor) {
      print("Its positions stand closer than they were trained; fine-tune it on long sequences.");
      return done(new Result(target.path, outcome.layers(), null, null, null));
    }
    print(
        """
        It approximates the original. How well:  ./performer approximate --model %s --data FILE
        To bring back what is lost:  ./performer fine-tune %1$s --teacher %s --data FILE --output RUN""",
        target.path, source);
    var favor = converter.conversion().orElseThrow().favor();
    return done(
        new Result(
            target.path, outcome.layers(), favor.kernel().label(), favor.features(), favor.seed()));
  }
}
