package dev.performer.cli;

import dev.performer.pipeline.Exporter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code export}: a SavedModel for serving. */
@Command(
    name = "export",
    description = {
      "Write a SavedModel for serving.",
      "",
      "From a run directory of train or fine-tune: the model it trains with the weights of a checkpoint, also where the run was stopped.",
      "From a SavedModel: a checked copy. All signatures and Python's objects stay as they were."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer export runs/protein --output served",
      "  ./performer export runs/protein --checkpoint last --output served"
    })
final class ExportCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;
  @Mixin private TargetOptions target;

  @Parameters(
      index = "0",
      paramLabel = "MODEL|RUN",
      description = "A SavedModel or a run directory.")
  private Path source;

  @Option(
      names = "--checkpoint",
      defaultValue = "best",
      paramLabel = "C",
      description = "Of a run: best, last or step-N (default: ${DEFAULT-VALUE}).")
  private String checkpoint;

  @Override
  public Integer call() {
    Path weights = Exporter.to(target.path).replacing(target.replace).export(source, checkpoint);
    boolean isRun = weights.startsWith(source.resolve("checkpoints"));
    output
        .text()
        .println("Written: " + target.path + (isRun ? " with the weights of " + weights : ""));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", target.path.toString());
    json.put("weights", weights.toString());
    output.printJson(json);
    return 0;
  }
}
