package dev.performer.cli;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.CheckpointReport;
import dev.performer.pipeline.ConfigSummary;
import dev.performer.pipeline.Model;
import dev.performer.savedmodel.Inspection;
import dev.performer.savedmodel.Inspection.SignatureReport;
import dev.performer.savedmodel.Inspection.TensorReport;
import dev.performer.savedmodel.Inspection.VariableReport;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.ModelCards;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "inspect",
    description = {
      "What is in a model.",
      "",
      "A SavedModel: signatures, variables, ops; whether it can be trained here, and if not which op stops it. A checkpoint (Flax",
      "msgpack, TensorFlow, .h5, .keras, .safetensors, .npz): tensors with shapes, types and sizes, and whose names they have."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer inspect MODEL",
      "  ./performer inspect model.safetensors --json"
    })
final class InspectCommand extends PerformerCommand {
  @Parameters(index = "0", paramLabel = "PATH", description = "A SavedModel, run or checkpoint.")
  private Path path;

  @Option(names = "--variables", description = "List all variables, optimizer slots included.")
  private boolean listVariables;

  @Option(names = "--ops", description = "List how often each op occurs, functions inlined.")
  private boolean listOps;

  @Override
  public Integer call() {
    if (Model.isRun(path)) {
      path = Model.open(path).path();
    }
    if (!looksLikeSavedModel()) {
      CheckpointReport report = CheckpointReport.of(path);
      text().print(report.text());
      return done(report.json());
    }
    Inspection inspection = Inspection.of(path);
    text().print(summary(inspection));
    if (listVariables) {
      print("   variables");
      for (VariableReport v : inspection.variables()) {
        String kind = (v.trainable() ? "trainable" : "fixed") + (v.used() ? "" : ", unused");
        print("     %-60s %-9s %-18s %s", v.name(), v.type(), dimensions(v.shape()), kind);
      }
    }
    if (listOps) {
      print("   ops after inlining: " + counts(inspection, Integer.MAX_VALUE));
    }
    return done(json(inspection));
  }

  /** A directory without a checkpoint is taken for a broken SavedModel, whose errors say more. */
  private boolean looksLikeSavedModel() {
    return Files.exists(path.resolve("saved_model.pb"))
        || Files.exists(path.resolve("saved_model.pbtxt"))
        || Files.isDirectory(path.resolve("variables"));
  }

  /** A screenful on a model. */
  static String summary(Path path) {
    return summary(Inspection.of(path));
  }

  private static String summary(Inspection model) {
    Path path = Path.of(model.path());
    String version = model.tensorflowVersion();
    var text = new StringBuilder();
    text.append(
        line("made by", model.origin() + (version.isEmpty() ? "" : ", TensorFlow " + version)));
    PerformerModels.config(path)
        .ifPresent(config -> text.append(line("model", ConfigSummary.of(config))));
    tokenizer(path)
        .ifPresent(t -> text.append(line("tokenizer", t.label() + ", " + t.size() + " tokens")));
    for (SignatureReport s : model.signatures()) {
      String types = tensors(s.inputs()) + " -> " + tensors(s.outputs());
      text.append(line("signature", s.name() + ": " + types)).append(line("", s.summary()));
    }
    text.append(
        line(
            "variables",
            format(
                "%d, of them used by signatures %,d parameters, %,d trainable",
                model.variables().size(), model.parameters(), model.trainableParameters())));
    for (Inspection.Projection p : model.projections()) {
      String shape = "[%d, %d] ".formatted(p.features(), p.size());
      text.append(line("projection", shape + p.name()));
    }
    if (!model.assets().isEmpty()) {
      text.append(line("assets", String.join(", ", model.assets())));
    }
    int ops = model.ops().values().stream().mapToInt(Integer::intValue).sum();
    String counts = format("%,d after inlining: %s ...", ops, counts(model, 6));
    return text.append(line("ops", counts)).toString();
  }

  private static String line(String label, String value) {
    return "   %-12s %s%n".formatted(label, value);
  }

  /** How often ops occur, the first of them. */
  private static String counts(Inspection model, int limit) {
    return model.ops().entrySet().stream()
        .limit(limit)
        .map(e -> e.getKey() + " × " + e.getValue())
        .collect(Collectors.joining(", "));
  }

  private static Optional<Tokenizer> tokenizer(Path model) {
    return ModelCard.read(model).map(ModelCard::vocabulary).map(ModelCards::tokenizer);
  }

  private static Map<String, ?> json(Inspection inspection) {
    Map<String, Object> json =
        new ObjectMapper().convertValue(inspection, new TypeReference<>() {});
    json.put("trainable", inspection.trainable());
    PerformerModels.config(Path.of(inspection.path()))
        .ifPresent(config -> json.put("config", config.toJson()));
    tokenizer(Path.of(inspection.path()))
        .ifPresent(t -> json.put("tokenizer", Map.of("label", t.label(), "tokens", t.size())));
    return json;
  }

  private static String tensors(List<TensorReport> tensors) {
    return tensors.stream()
        .map(t -> t.name() + " " + t.type() + " " + dimensions(t.shape()))
        .collect(Collectors.joining(", "));
  }

  private static String dimensions(List<Long> shape) {
    return shape == null
        ? "of any rank"
        : shape.stream().map(d -> d < 0 ? "?" : "" + d).collect(Collectors.joining(", ", "[", "]"));
  }
}
