package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.graph.SaveRestore;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
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
      "From a run directory of fine-tune: the model it trains with the weights of a checkpoint, also where the run was stopped.",
      "From a SavedModel: a checked copy. All signatures and Python's objects stay as they were."
    })
final class ExportCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;

  @Parameters(index = "0", paramLabel = "MODEL|RUN", description = "A SavedModel or a run directory.")
  private Path source;

  @Option(names = "--output", required = true, paramLabel = "DIR", description = "Where the SavedModel goes.")
  private Path target;

  @Option(names = "--checkpoint", defaultValue = "best", paramLabel = "C", description = "Of a run: best, last or step-N (default: ${DEFAULT-VALUE}).")
  private String checkpoint;

  @Option(names = "--replace", description = "Replace a SavedModel that is at DIR.")
  private boolean replace;

  @Override
  public Integer call() {
    boolean isRun = Files.exists(source.resolve(FineTuning.SOURCE));
    Path from = isRun ? FineTuning.source(source) : source;
    String weights = isRun ? prefix() : null;
    SavedModelDirectory directory = SavedModelDirectory.open(from);
    List<String> signatures = new ArrayList<>(directory.signatures().keySet());
    try (ImportedModel model = ImportedModel.load(directory, signatures);
        Session session = new Session(model.graph(), false)) {
      model.restore(session);
      if (weights != null) {
        SaveRestore.of(Ops.create(model.graph()), model.variables()).restore(session, Path.of(weights));
      }
      TunedModel.write(model, session, target, card(isRun, from), replace);
    }
    output.text().println("Written: " + target + (weights == null ? "" : " with the weights of " + weights));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", target.toString());
    json.put("signatures", signatures);
    json.put("weights", weights);
    output.printJson(json);
    return 0;
  }

  /** The run's own card, which knows what was trained, before that of the model it started from. */
  private ModelCard card(boolean isRun, Path from) {
    Path finished = source.resolve(FineTuning.MODEL);
    if (isRun && Files.exists(finished.resolve(ModelCard.FILE))) {
      return ModelCard.read(finished).orElse(null);
    }
    return ModelCard.read(from).orElse(null);
  }

  private String prefix() {
    String name = checkpoint;
    if (name.equals("best") || name.equals("last")) {
      Path pointer = source.resolve(name);
      try {
        name = Files.readString(pointer).strip();
      } catch (IOException e) {
        throw new PerformerException(pointer + ": cannot be read; the run has no checkpoint yet", e);
      }
    }
    Path folder = source.resolve("checkpoints").resolve(name);
    if (!Files.isDirectory(folder)) {
      throw new PerformerException(folder + ": no such checkpoint; give --checkpoint best, last or step-N");
    }
    return folder.resolve("variables").toString();
  }
}
