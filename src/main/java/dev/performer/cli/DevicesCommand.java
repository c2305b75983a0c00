package dev.performer.cli;

import dev.performer.graph.DeviceCheck;
import dev.performer.graph.LocalDevices;
import dev.performer.graph.OpKernels;
import dev.performer.graph.RegisteredKernels.Support;
import dev.performer.pipeline.Machine;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.ModelDevices;
import dev.performer.training.LoopOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "devices",
    description = {
      "What TensorFlow finds on this machine; for a model, which device runs what.",
      "",
      "For each signature and for a training step: every op with its types, which of CPU, GPU and XLA have a kernel, what falls back to the CPU,",
      "and whether XLA compiles it with fixed sizes, as a TPU needs. No GPU is needed to know that."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer devices",
      "  ./performer devices MODEL --static-shape 8,128",
      "  ./performer devices RUN --set optimizer=lion --set precision=bfloat16"
    })
final class DevicesCommand extends PerformerCommand {
  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "MODEL",
      description = "A SavedModel, or a run directory.")
  private Path path;

  @Option(
      names = "--static-shape",
      split = ",",
      paramLabel = "B,L",
      description = "Rows and tokens for which XLA compiles (default: 1,16).")
  private List<Integer> sizes = List.of();

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description =
          "How a step trains, as the section training of a recipe has it: optimizer, precision ...")
  private List<String> settings = List.of();

  @Option(names = "--no-compile", description = "List kernels only.")
  private boolean listsOnly;

  @Option(names = "--ops", description = "List every op, not only what a device lacks.")
  private boolean listsOps;

  @Override
  public Integer call() {
    requireUsage(sizes.size() <= 2, "--static-shape takes B,L, not %s", sizes);
    ModelDevices.Options options = options();
    Model model = path == null ? null : Model.open(path);
    Machine machine = Machine.look();
    show(machine);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("machine", machine);
    if (model != null) {
      ModelDevices found = ModelDevices.of(model, options);
      show(found, machine);
      json.put("model", found);
    }
    return done(json);
  }

  private ModelDevices.Options options() {
    var usual = ModelDevices.Options.DEFAULT;
    int rows = sizes.isEmpty() ? usual.rows() : sizes.get(0);
    int length = sizes.size() < 2 ? usual.length() : sizes.get(1);
    requireUsage(rows > 0 && length > 1, "--static-shape %d,%d: at least 1,2", rows, length);
    var loop = LoopOptions.DEFAULT.with(settings.toArray(String[]::new));
    return new ModelDevices.Options(rows, length, !listsOnly, loop);
  }

  private void show(Machine machine) {
    String kind = machine.libraryForGpus() ? "for GPUs" : "for CPUs";
    line("TensorFlow", machine.tensorflow() + ", the library " + kind);
    line(
        "processor",
        format(
            "%d cores, %s, %s",
            machine.processors(),
            gigabytes(machine.memoryBytes()),
            machine.instructions().isEmpty()
                ? System.getProperty("os.arch")
                : String.join(" ", machine.instructions())));
    for (LocalDevices.Device device : machine.devices()) {
      boolean isGpu = device.type().equals("GPU");
      line("device", device.name() + (isGpu ? ", " + gigabytes(device.memoryBytes()) : ""));
    }
    if (!machine.hasGpu()) {
      String library = machine.libraryForGpus() ? "" : "the library (PERFORMER_PROFILE=gpu), ";
      String cuda = machine.missingCuda().isEmpty() ? "a GPU" : "";
      String missing = String.join(", ", machine.missingCuda());
      line("no GPU", "missing: " + library + cuda + missing);
    }
  }

  private void show(ModelDevices found, Machine machine) {
    print("");
    line("GPU kernels", "as " + machine.gpuKernelsOf() + " has them");
    for (DeviceCheck check : found.checks()) {
      line(check.name(), gpu(check));
      if (!listsOnly) {
        line("", xla(check, found));
      }
    }
    found.notes().forEach(note -> line("", note));
    print("");
    table(found);
  }

  private static String gpu(DeviceCheck check) {
    int nodes = check.ops().stream().mapToInt(OpKernels::count).sum();
    String lacking =
        check.withoutGpu().isEmpty()
            ? "all run on a GPU"
            : "on a GPU these fall back to the CPU: " + names(check.withoutGpu());
    int host = check.onHost().stream().mapToInt(OpKernels::count).sum();
    String sizes = host == 0 ? "" : format(" (%d compute sizes and the like on its host)", host);
    return format("%d ops of %d kinds; %s%s", nodes, check.ops().size(), lacking, sizes);
  }

  private static String xla(DeviceCheck check, ModelDevices found) {
    if (check.refusal() != null) {
      return check.refusal();
    } else if (!check.compiled()) {
      return "not compiled";
    }
    String open =
        check.openSizes().isEmpty()
            ? "all sizes are fixed"
            : "but sizes depend on values, which a TPU refuses: "
                + String.join(", ", check.openSizes());
    String outside =
        check.withoutXla().isEmpty()
            ? ""
            : "; outside, between compiled parts, run "
                + String.join(", ", check.withoutXla().stream().map(OpKernels::toString).toList());
    return format("XLA compiles it, open sizes as B = %d, L = %d", found.rows(), found.length())
        + outside
        + "; "
        + open;
  }

  private static String names(List<OpKernels> ops) {
    return String.join(", ", ops.stream().map(op -> op + " (" + op.node() + ")").toList());
  }

  /** Every op once, however many computations have it. */
  private void table(ModelDevices found) {
    Map<String, OpKernels> ops = new TreeMap<>();
    Map<String, Integer> counts = new TreeMap<>();
    for (DeviceCheck check : found.checks()) {
      for (OpKernels op : check.ops()) {
        ops.putIfAbsent(op.toString(), op);
        counts.merge(op.toString(), op.count(), Integer::sum);
      }
    }
    List<String> lines = new ArrayList<>();
    ops.forEach(
        (name, op) -> {
          var all = List.of(op.cpu(), op.gpu(), op.xlaCpu(), op.xlaGpu());
          if (listsOps || all.contains(Support.NONE)) {
            lines.add(
                format(
                    "   %-52s %6d %5s %5s %8s %8s",
                    name,
                    counts.get(name),
                    mark(op.cpu()),
                    mark(op.gpu()),
                    mark(op.xlaCpu()),
                    mark(op.xlaGpu())));
          }
        });
    if (lines.isEmpty()) {
      print("   All %d kinds of ops have kernels for CPU, GPU and XLA.", ops.size());
    } else {
      print("   %-52s %6s %5s %5s %8s %8s", "op", "count", "CPU", "GPU", "XLA CPU", "XLA GPU");
      lines.forEach(this::print);
    }
  }

  private static String mark(Support support) {
    return switch (support) {
      case NONE -> "-";
      case HOST -> "host";
      case DEVICE -> "yes";
    };
  }

  private void line(String label, String text) {
    print("   %-16s %s", label, text);
  }

  private static String gigabytes(long bytes) {
    return format("%.1f GB", bytes / 1e9);
  }
}
