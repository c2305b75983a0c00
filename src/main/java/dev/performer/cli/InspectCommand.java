package dev.performer.cli;

import static java.util.stream.Collectors.joining;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.CheckpointReport;
import dev.performer.pipeline.ConfigSummary;
import dev.performer.pipeline.Model;
import dev.performer.savedmodel.CardTokenizer;
import dev.performer.savedmodel.Inspection;
import dev.performer.savedmodel.Inspection.TensorReport;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "inspect",
    description = {
      "What is in a model.",
      "",
      "A SavedModel: signatures, variables, ops; whether it can be trained here, and if not which op stops it. A checkpoint (Flax",
      "msgpack, TensorFlow, .h5, .keras, .safetensors, .npz): whose names its tensors have, the model and the tokenizer that import makes of it, all tensors."
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
      for (var v : inspection.variables()) {
        String kind = (v.trainable() ? "trainable" : "fixed") + (v.used() ? "" : ", unused");
        print("     %-60s %-9s %-18s %s", v.name(), v.type(), dimensions(v.shape()), kind);
      }
    }
    if (listOps) {
      print("   ops after inlining: " + counts(inspection, Integer.MAX_VALUE));
    }
    Map<String, Object> json =
        new ObjectMapper().convertValue(inspection, new TypeReference<>() {});
    json.put("trainable", inspection.trainable());
    PerformerModels.config(path).ifPresent(config -> json.put("config", config.toJson()));
    tokenizer(path)
        .ifPresent(t -> json.put("tokenizer", Map.of("label", t.label(), "tokens", t.size())));
    return done(json);
  }

  /** A directory without a checkpoint is taken for a broken SavedModel, whose errors say more. */
  private boolean looksLikeSavedModel() {
    return Files.exists(path.resolve("saved_model.pb"))
        || Files.exists(path.resolve("saved_model.pbtxt"))
        || Files.isDirectory(path.resolve("variables"));
  }

  /** A screenful on a model. */
  static String summary(Inspection model) {
    var text = new StringBuilder();
    BiConsumer<String, Object> line =
        (label, value) -> text.append("   %-12s %s%n".formatted(label, value));
    Path path = Path.of(model.path());
    String version = model.tensorflowVersion();
    line.accept("made by", model.origin() + (version.isEmpty() ? "" : ", TensorFlow " + version));
    PerformerModels.config(path)
        .ifPresent(config -> line.accept("model", ConfigSummary.of(config)));
    tokenizer(path)
        .ifPresent(t -> line.accept("tokenizer", t.label() + ", " + t.size() + " tokens"));
    for (var s : model.signatures()) {
      line.accept(
          "signature", "%s: %s -> %s".formatted(s.name(), list(s.inputs()), list(s.outputs())));
      line.accept("", s.summary());
    }
    String sizes = "%d, of them used by signatures %,d parameters, %,d trainable";
    int variables = model.variables().size();
    line.accept(
        "variables", format(sizes, variables, model.parameters(), model.trainableParameters()));
    for (Inspection.Projection p : model.projections()) {
      line.accept("projection", "[%d, %d] %s".formatted(p.features(), p.size(), p.name()));
    }
    if (!model.assets().isEmpty()) {
      line.accept("assets", String.join(", ", model.assets()));
    }
    int ops = model.ops().values().stream().mapToInt(Integer::intValue).sum();
    line.accept("ops", format("%,d after inlining: %s ...", ops, counts(model, 6)));
    return text.toString();
  }

  /** How often ops occur, the first of them. */
  private static String counts(Inspection model, int limit) {
    return model.ops().entrySet().stream()
        .limit(limit)
        .map(e -> e.getKey() + " × " + e.getValue())
        .collect(joining(", "));
  }

  private static Optional<Tokenizer> tokenizer(Path model) {
    return ModelCard.read(model).map(ModelCard::vocabulary).map(CardTokenizer::of);
  }

  private static String list(List<TensorReport> tensors) {
    return tensors.stream()
        .map(t -> t.name() + " " + t.type() + " " + dimensions(t.shape()))
        .collect(joining(", "));
  }

  private static String dimensions(List<Long> shape) {
    return shape == null
        ? "of any rank"
        : shape.stream().map(d -> d < 0 ? "?" : "" + d).collect(joining(", ", "[", "]"));
  }
}
