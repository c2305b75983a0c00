package dev.performer.cli;

import dev.performer.pipeline.Converter;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "convert",
    description = {
      "Replace a model's exact softmax attention by FAVOR+ and keep all weights.",
      "",
      "The result is an approximation: 'approximate --model' measures it, layer by layer, and 'fine-tune --teacher' brings back what",
      "is lost."
    },
    sortOptions = false,
    footer = {"", "Example:", "  ./performer convert MODEL --attention favor --output favor"})
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

  @Option(names = "--attention", required = true, description = "To what: favor.")
  private Target attention;

  @Mixin private SharedOptions.Conversion options;
  @Mixin private SharedOptions.Target target;

  private record Result(Path model, List<Integer> layers, String kernel, int features, long seed) {}

  @Override
  public Integer call() {
    var conversion = options.conversion();
    var outcome = new Converter(conversion).convert(source, target.path, target.replace);
    print("Written: " + target.path + "; " + outcome.note());
    print(
        """
        It approximates the original. How well:  ./performer approximate --model %s --data FILE
        To bring back what is lost:  ./performer fine-tune %1$s --teacher %s --data FILE --output RUN""",
        target.path, source);
    var favor = conversion.favor();
    return done(
        new Result(
            target.path, outcome.layers(), favor.kernel().label(), favor.features(), favor.seed()));
  }
}
