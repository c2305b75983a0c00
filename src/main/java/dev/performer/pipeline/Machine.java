package dev.performer.pipeline;

import com.sun.management.OperatingSystemMXBean;
import dev.performer.graph.CudaLibraries;
import dev.performer.graph.LocalDevices;
import dev.performer.graph.RegisteredKernels;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.tensorflow.TensorFlow;

/**
 * What TensorFlow finds on this machine.
 *
 * @param tensorflow the version of its library
 * @param libraryForGpus whether that library is the one for GPUs
 * @param missingCuda shared libraries that it needs for a GPU and that cannot be loaded
 * @param gpuKernelsOf whose kernels for GPUs are taken: the loaded library's, or those that the
 *     library of a version lists
 * @param processors that this process may use
 * @param memoryBytes of the machine, or of the container
 * @param instructions those of the processor that products of matrices profit from, as Linux names
 *     them; empty where that is not known
 * @param devices of a session
 */
public record Machine(
    String tensorflow,
    boolean libraryForGpus,
    List<String> missingCuda,
    String gpuKernelsOf,
    int processors,
    long memoryBytes,
    List<String> instructions,
    List<LocalDevices.Device> devices) {
  private static final Path CPU = Path.of("/proc/cpuinfo");
  private static final List<String> INSTRUCTIONS =
      List.of(
          "avx",
          "avx2",
          "fma",
          "avx512f",
          "avx512_vnni",
          "avx512_bf16",
          "avx512_fp16",
          "amx_bf16",
          "amx_int8",
          "asimd",
          "sve",
          "bf16",
          "i8mm");

  /** Loads TensorFlow and looks. */
  public static Machine look() {
    boolean forGpus = RegisteredKernels.load().isForGpus();
    String listed = "the library of TensorFlow " + RegisteredKernels.LISTED_VERSION + " for GPUs";
    var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return new Machine(
        TensorFlow.version(),
        forGpus,
        CudaLibraries.missing(),
        forGpus ? "the loaded library" : listed,
        Runtime.getRuntime().availableProcessors(),
        system.getTotalMemorySize(),
        knownInstructions(),
        LocalDevices.list());
  }

  /** Whether a session has a GPU. */
  public boolean hasGpu() {
    return devices.stream().anyMatch(device -> device.type().equals(RegisteredKernels.GPU));
  }

  private static List<String> knownInstructions() {
    try (Stream<String> lines = Files.lines(CPU)) {
      Set<String> flags = new HashSet<>();
      lines
          .filter(line -> line.startsWith("flags") || line.startsWith("Features"))
          .limit(1)
          .forEach(line -> flags.addAll(Arrays.asList(line.split("[\\s:]+"))));
      return INSTRUCTIONS.stream().filter(flags::contains).toList();
    } catch (IOException e) {
      return List.of();
    }
  }
}
