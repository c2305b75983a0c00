package dev.performer.cli;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.savedmodel.Inspection;
import dev.performer.savedmodel.Inspection.SignatureReport;
import dev.performer.savedmodel.Inspection.TensorReport;
import dev.performer.savedmodel.Inspection.VariableReport;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code inspect}: what is in a SavedModel, and whether it can be trained here. */
@Command(
    name = "inspect",
    description =
        "What is in a SavedModel: signatures, variables, ops; whether it can be trained here, and if not which op stops it.")
final class InspectCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;

  @Parameters(index = "0", paramLabel = "PATH", description = "A SavedModel directory.")
  private Path path;

  @Option(names = "--variables", description = "List all variables, optimizer slots included.")
  private boolean listVariables;

  @Option(
      names = "--ops",
      description = "List how often each op occurs once functions are inlined.")
  private boolean listOps;

  @Override
  public Integer call() {
    Inspection inspection = Inspection.of(path);
    StringBuilder text = new StringBuilder(summary(inspection));
    if (listVariables) {
      text.append("   variables\n");
      for (VariableReport v : inspection.variables()) {
        text.append(
            String.format(
                "     %-60s %-9s %-18s %s%s%n",
                v.name(),
                v.type(),
                dimensions(v.shape()),
                v.trainable() ? "trainable" : "fixed",
                v.used() ? "" : ", unused"));
      }
    }
    if (listOps) {
      text.append("   ops after inlining: ")
          .append(
              inspection.ops().entrySet().stream()
                  .map(e -> e.getKey() + " × " + e.getValue())
                  .collect(Collectors.joining(", ")))
          .append('\n');
    }
    output.text().print(text);
    output.printJson(json(inspection));
    return 0;
  }

  /** A screenful on a model. */
  static String summary(Path path) {
    return summary(Inspection.of(path));
  }

  private static String summary(Inspection model) {
    StringBuilder text = new StringBuilder();
    text.append("   made by      ").append(model.origin());
    if (!model.tensorflowVersion().isEmpty()) {
      text.append(", TensorFlow ").append(model.tensorflowVersion());
    }
    text.append('\n');
    for (SignatureReport s : model.signatures()) {
      text.append("   signature    ")
          .append(s.name())
          .append(": ")
          .append(tensors(s.inputs()))
          .append(" -> ")
          .append(tensors(s.outputs()))
          .append('\n');
      text.append("                ").append(s.summary()).append('\n');
    }
    text.append(
        String.format(
            Locale.ROOT,
            "   variables    %d, of them used by signatures %,d parameters, %,d trainable%n",
            model.variables().size(),
            model.parameters(),
            model.trainableParameters()));
    for (Inspection.Projection p : model.projections()) {
      text.append("   projection   [")
          .append(p.features())
          .append(", ")
          .append(p.size())
          .append("] ")
          .append(p.name())
          .append('\n');
    }
    if (!model.assets().isEmpty()) {
      text.append("   assets       ").append(String.join(", ", model.assets())).append('\n');
    }
    int ops = model.ops().values().stream().mapToInt(Integer::intValue).sum();
    text.append(
        String.format(
            Locale.ROOT,
            "   ops          %,d after inlining: %s ...%n",
            ops,
            model.ops().entrySet().stream()
                .limit(6)
                .map(e -> e.getKey() + " × " + e.getValue())
                .collect(Collectors.joining(", "))));
    return text.toString();
  }

  private static Map<String, ?> json(Inspection inspection) {
    ObjectMapper mapper = new ObjectMapper();
    Map<String, Object> json = mapper.convertValue(inspection, new TypeReference<>() {});
    json.put("trainable", inspection.trainable());
    return json;
  }

  private static String tensors(List<TensorReport> tensors) {
    return tensors.stream()
        .map(t -> t.name() + " " + t.type() + " " + dimensions(t.shape()))
        .collect(Collectors.joining(", "));
  }

  private static String dimensions(List<Long> shape) {
    if (shape == null) {
      return "of any rank";
    }
    return shape.stream()
        .map(d -> d < 0 ? "?" : "" + d)
        .collect(Collectors.joining(", ", "[", "]"));
  }
}
