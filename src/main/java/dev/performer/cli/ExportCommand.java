package dev.performer.cli;

import dev.performer.pipeline.Exporter;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

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
final class ExportCommand extends PerformerCommand {
  @Mixin private SharedOptions.Target target;

  @Parameters(index = "0", paramLabel = "MODEL|RUN", description = "A SavedModel or a run.")
  private Path source;

  @Option(names = "--checkpoint", description = "Of a run: best, last or step-N.")
  private String checkpoint = "best";

  private record Result(Path model, Path weights) {}

  @Override
  public Integer call() {
    Path weights = Exporter.to(target.path).replacing(target.replace).export(source, checkpoint);
    boolean isRun = weights.startsWith(source.resolve("checkpoints"));
    print("Written: " + target.path + (isRun ? " with the weights of " + weights : ""));
    return done(new Result(target.path, weights));
  }
}
