package dev.performer.graph;

import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_HasGradient;
import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_RegisterCustomGradient;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.tensorflow.TensorFlow;
import org.tensorflow.internal.c_api.TFJ_GradFuncAdapter;
import org.tensorflow.op.RawCustomGradient;

/**
 * Registers gradients for op types that TensorFlow's C++ registry lacks, all through one native
 * callback: TensorFlow Java 1.1.0 has ten slots for callbacks and crashes when an eleventh
 * registration is used.
 */
final class GradientBridge {
  private static final Map<String, RawCustomGradient> GRADIENTS = new ConcurrentHashMap<>();

  // Native code keeps a bare pointer to this: it must never be collected.
  private static final TFJ_GradFuncAdapter ADAPTER =
      RawCustomGradient.adapter(
          (tf, operation, gradients) ->
              GRADIENTS.get(operation.type()).call(tf, operation, gradients));

  private GradientBridge() {}

  /**
   * Registers a gradient for the process.
   *
   * @param opType the op's type, as in {@code ResourceGather}
   * @param gradient adds ops that compute one gradient per input; it may not call {@code
   *     addGradients} and may not return null for an input
   * @return whether it was registered: false if TensorFlow has a gradient of its own, which cannot
   *     be replaced
   */
  static synchronized boolean register(String opType, RawCustomGradient gradient) {
    TensorFlow.version(); // loads the native library
    if (TFJ_HasGradient(opType)) {
      return GRADIENTS.computeIfPresent(opType, (type, known) -> gradient) != null;
    }
    GRADIENTS.put(opType, gradient);
    return TFJ_RegisterCustomGradient(opType, ADAPTER);
  }
}
