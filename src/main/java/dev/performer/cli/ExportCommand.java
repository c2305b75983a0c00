package dev.performer.cli;

import dev.performer.pipeline.Exporter;
import dev.performer.pipeline.Exporter.Exported;
import dev.performer.pipeline.PythonConverter;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ServingForm;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "export",
    description = {
      "Write a SavedModel for serving, or ONNX or TensorFlow Lite.",
      "",
      "From a run directory of train or fine-tune: the model it trains with the weights of a checkpoint, also where the run was stopped.",
      "From a SavedModel: a checked copy. All signatures and Python's objects stay as they were, unless the graph is to change: --freeze, --static-shape, --dtype.",
      "Each has a model card README.md of what is recorded about the model."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer export runs/protein --output served",
      "  ./performer export runs/protein --checkpoint last --output served",
      "  ./performer export runs/protein --output models/protein --version 1 --freeze",
      "  ./performer export runs/protein --onnx protein.onnx --python venv/bin/python"
    })
final class ExportCommand extends PerformerCommand {
  @Parameters(index = "0", paramLabel = "MODEL|RUN", description = "A SavedModel or a run.")
  private Path source;

  @Option(names = "--output", description = "Where the SavedModel goes.")
  private Path output;

  @Option(names = "--replace", description = "Replace a SavedModel or a file that is there.")
  private boolean replace;

  @Option(names = "--checkpoint", description = "Of a run: best, last or step-N.")
  private String checkpoint = "best";

  @Option(
      names = "--version",
      paramLabel = "N",
      description =
          "Write OUTPUT/N, as TensorFlow Serving has versions; whoever watches OUTPUT sees it when it is whole. A number that is taken is refused.")
  private Long version;

  @Option(
      names = "--warmup",
      negatable = true,
      fallbackValue = "true",
      description =
          "Requests that TensorFlow Serving runs when it loads the model, one for each signature (default: with --version).")
  private Boolean warmup;

  @Option(
      names = "--freeze",
      description = "Variables become constants of the graph: nothing to restore, none to train.")
  private boolean freeze;

  @Option(
      names = "--static-shape",
      paramLabel = "B[,L]",
      description = "Inputs of fixed sizes, for compilers: batch, and length where that is open.")
  private String shape;

  @Option(
      names = "--dtype",
      description =
          "bfloat16: weight matrices, and products with them; all else and the outputs stay float32 (default: as the model has it).")
  private ServingForm.Precision dtype = ServingForm.Precision.FLOAT32;

  @Option(
      names = "--generate",
      description =
          "Insist on the signature generate, a call that samples with the loop inside; models of older versions get it.")
  private boolean generating;

  @Option(
      names = "--signature",
      split = ",",
      paramLabel = "NAME",
      description =
          "Signatures that stay, with commas between them (default: all); for ONNX and TensorFlow Lite one (default: serving_default).")
  private List<String> signatures = List.of();

  @Option(names = "--onnx", paramLabel = "FILE", description = "Also write ONNX, by tf2onnx.")
  private Path onnx;

  @Option(
      names = "--tflite",
      paramLabel = "FILE",
      description = "Also write TensorFlow Lite, by TensorFlow's converter.")
  private Path tflite;

  @Option(names = "--quantize", description = "Weights of the TensorFlow Lite file in 8 bits.")
  private boolean quantize;

  @Option(
      names = "--python",
      paramLabel = "PATH",
      description =
          "Of a Python with tensorflow and, for ONNX, tf2onnx (default: PERFORMER_PYTHON of the environment).")
  private Path python;

  private record Result(Path model, Path weights, Path onnx, Path tflite, List<String> notes) {}

  @Override
  public Integer call() {
    List<PythonConverter> conversions = conversions();
    boolean isSome = output != null || !conversions.isEmpty();
    requireUsage(isSome, "give --output, --onnx or --tflite: where the model goes");
    requireUsage(output != null || version == null, "--version needs --output");
    String never = "--replace: a version is never replaced, as it may be served";
    requireUsage(!replace || version == null, never);
    Path place = output != null ? output : conversions.get(0).file();
    Exporter exporter =
        Exporter.to(place)
            .replacing(replace)
            .version(version)
            .warmup(warmup)
            .generating(generating)
            .in(form());
    List<String> notes = new ArrayList<>();
    Exported exported = output == null ? null : exporter.export(source, checkpoint);
    if (exported != null) {
      boolean isRun = exported.weights().startsWith(source.resolve("checkpoints"));
      String weights = isRun ? " with the weights of " + exported.weights() : "";
      print("Written: " + exported.model() + weights);
      notes.addAll(exported.notes());
    }
    for (PythonConverter conversion : conversions) {
      notes.addAll(
          exported == null
              ? exporter.convert(source, checkpoint, conversion)
              : Exporter.to(place).convert(exported.model(), checkpoint, conversion));
      print("Written: " + conversion.file());
    }
    notes.forEach(System.err::println);
    Path model = exported == null ? null : exported.model();
    Path weights = exported == null ? null : exported.weights();
    return done(new Result(model, weights, onnx, tflite, notes));
  }

  private List<PythonConverter> conversions() {
    requireUsage(!quantize || tflite != null, "--quantize is of --tflite");
    List<PythonConverter> conversions = new ArrayList<>();
    if (onnx != null) {
      conversions.add(conversion(PythonConverter.Format.ONNX, onnx));
    }
    if (tflite != null) {
      conversions.add(conversion(PythonConverter.Format.TFLITE, tflite));
    }
    return conversions;
  }

  private PythonConverter conversion(PythonConverter.Format format, Path file) {
    String one = "--signature: one signature becomes an ONNX or TensorFlow Lite file, not %s";
    requireUsage(signatures.size() < 2, one, signatures);
    String signature = signatures.isEmpty() ? ImportedModel.DEFAULT_SIGNATURE : signatures.get(0);
    boolean quantized = quantize && format == PythonConverter.Format.TFLITE;
    String known = System.getenv().getOrDefault("PERFORMER_PYTHON", "");
    Path other = known.isBlank() ? null : Path.of(known);
    Path interpreter = python != null ? python : other;
    return new PythonConverter(interpreter, format, signature, quantized, file, replace);
  }

  private ServingForm form() {
    ServingForm form = ServingForm.AS_IS.freezing(freeze).in(dtype);
    // A conversion alone knows its signature by itself.
    form = output == null ? form : form.keeping(signatures);
    if (shape == null) {
      return form;
    }
    boolean isSound = shape.matches("[1-9]\\d{0,8}(,[1-9]\\d{0,8})?");
    requireUsage(isSound, "--static-shape is B or B,L, such as 8,128, not '%s'", shape);
    String[] sizes = shape.split(",");
    return form.sized(Long.valueOf(sizes[0]), sizes.length > 1 ? Long.valueOf(sizes[1]) : null);
  }
}
