package dev.performer.cli;

import dev.performer.model.FavorConversion;
import dev.performer.pipeline.Converter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code convert}: exact attention replaced by FAVOR+. */
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
final class ConvertCommand implements Callable<Integer> {
  /** What attention can be converted to. */
  enum Target {
    FAVOR
  }

  @Parameters(
      index = "0",
      paramLabel = "MODEL",
      description = "A SavedModel with exact attention, or a run.")
  private Path source;

  @Option(names = "--attention", required = true, description = "To what: favor.")
  private Target attention;

  @Mixin private FavorOptions favor;

  @Mixin private TargetOptions target;
  @Mixin private OutputOptions output;

  @Override
  public Integer call() {
    FavorConversion conversion = favor.conversion();
    Converter.Outcome converted =
        new Converter(conversion).convert(source, target.path, target.replace);
    output.text().println("Written: " + target.path + "; " + converted.note());
    FavorOptions.next(source, target.path).forEach(output.text()::println);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", target.path.toString());
    json.put("layers", converted.layers());
    json.put("kernel", conversion.favor().kernel().label());
    json.put("features", conversion.favor().features());
    json.put("seed", conversion.favor().seed());
    output.printJson(json);
    return 0;
  }
}
