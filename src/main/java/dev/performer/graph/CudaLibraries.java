package dev.performer.graph;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.bytedeco.javacpp.Loader;

/**
 * CUDA and cuDNN from Maven artifacts (profile {@code gpu-redist}). TensorFlow opens them by their
 * SONAME, which does not look into jars; loading them first makes the names resolve.
 */
public final class CudaLibraries {
  private static final String FOLDER = "/org/bytedeco/cuda/linux-x86_64/";

  // In the order of their dependencies.
  private static final String LIBRARIES =
      """
      libcudart.so.12 libnvJitLink.so.12 libcublasLt.so.12 libcublas.so.12 libcufft.so.11
      libcusparse.so.12 libcusolver.so.11 libcurand.so.10 libnvrtc-builtins.so.12.6
      libnvrtc.so.12 libcudnn_graph.so.9 libcudnn_ops.so.9 libcudnn_cnn.so.9 libcudnn_adv.so.9
      libcudnn_heuristic.so.9 libcudnn_engines_precompiled.so.9
      libcudnn_engines_runtime_compiled.so.9 libcudnn.so.9 libcupti.so.12
      """;

  // What TensorFlow opens by name: the driver, then CUDA and cuDNN.
  private static final String NEEDED =
      """
      libcuda.so.1 libcudart.so.12 libcublas.so.12 libcublasLt.so.12 libcufft.so.11
      libcusolver.so.11 libcusparse.so.12 libcudnn.so.9
      """;

  private CudaLibraries() {}

  /** Those that TensorFlow needs for a GPU and that this process cannot load. */
  public static List<String> missing() {
    List<String> missing = new ArrayList<>();
    for (String library : NEEDED.split("\\s+")) {
      try {
        Loader.loadGlobal(library);
      } catch (UnsatisfiedLinkError e) {
        missing.add(library);
      }
    }
    return missing;
  }

  /**
   * Loads those that the class path holds, before the first TensorFlow class is used, and counts
   * them. Warns of each that cannot be loaded; TensorFlow then names it and runs on the CPU.
   */
  public static int preload(Consumer<String> warn) {
    int loaded = 0;
    if (CudaLibraries.class.getResource(FOLDER + "libcudart.so.12") == null) {
      return loaded; // all others need it, and a look for each opens every jar
    }
    for (String library : LIBRARIES.split("\\s+")) {
      var resource = CudaLibraries.class.getResource(FOLDER + library);
      if (resource != null) {
        try {
          System.load(Loader.cacheResource(resource).getAbsolutePath());
          loaded++;
        } catch (IOException | UnsatisfiedLinkError e) {
          warn.accept(library + " could not be loaded: " + e.getMessage());
        }
      }
    }
    return loaded;
  }
}
