package dev.performer.graph;

import static java.util.Comparator.comparing;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.tensorflow.TensorFlow;
import org.tensorflow.proto.KernelDef;
import org.tensorflow.proto.KernelList;

/**
 * The list of GPU kernels that the jar ships, against TensorFlow's library for GPUs, which has to
 * be on the class path ({@code -Pgpu}); no GPU is needed. {@code check} compares, {@code write}
 * makes the list anew.
 */
final class GpuKernelList {
  private static final Path FILE =
      Path.of("src/main/resources/dev/performer/graph/gpu-kernels.pb.gz");
  private static final Set<String> DEVICES =
      Set.of(RegisteredKernels.GPU, RegisteredKernels.XLA_GPU, "DEFAULT");

  private GpuKernelList() {}

  public static void main(String[] args) throws IOException {
    if (!RegisteredKernels.withXla().isForGpus()) {
      fail("the library of TensorFlow that is loaded is not the one for GPUs");
    }
    if (!TensorFlow.version().equals(RegisteredKernels.LISTED_VERSION)) {
      fail("TensorFlow " + TensorFlow.version() + " is loaded: name it in RegisteredKernels");
    }
    KernelList own = list();
    if (args.length == 1 && args[0].equals("write")) {
      try (var out = new GZIPOutputStream(Files.newOutputStream(FILE))) {
        own.writeTo(out);
      }
    }
    try (var in = new GZIPInputStream(Files.newInputStream(FILE))) {
      Set<String> listed = lines(KernelList.parseFrom(in));
      Set<String> loaded = lines(own);
      if (!listed.equals(loaded)) {
        Set<String> more = new TreeSet<>(loaded);
        more.removeAll(listed);
        listed.removeAll(loaded);
        fail(FILE + " is another: the library also has " + more + " and lacks " + listed);
      }
    }
    System.out.println("gpu: " + own.getKernelCount() + " kernels are as " + FILE + " lists them");
  }

  private static void fail(String why) {
    System.err.println("gpu: " + why);
    System.exit(1);
  }

  /** Those that a GPU may run, without the ones that are only taken by their label. */
  private static KernelList list() {
    List<KernelDef> kernels = new ArrayList<>(RegisteredKernels.list().getKernelList());
    kernels.removeIf(k -> !DEVICES.contains(k.getDeviceType()) || !k.getLabel().isEmpty());
    kernels.sort(comparing(KernelDef::getOp).thenComparing(KernelDef::toString));
    return KernelList.newBuilder().addAllKernel(kernels).build();
  }

  private static Set<String> lines(KernelList kernels) {
    Set<String> lines = new TreeSet<>();
    kernels.getKernelList().forEach(kernel -> lines.add(kernel.toString().replace('\n', ' ')));
    return lines;
  }
}
