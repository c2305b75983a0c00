package org.tensorflow.op;

import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_HasGradient;
import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_RegisterCustomGradient;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.tensorflow.AbstractGradientAdapter;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.TensorFlow;
import org.tensorflow.internal.c_api.TFJ_Scope;

/**
 * Registers gradients for op types that TensorFlow's C++ registry lacks, all through one native
 * callback.
 *
 * <p>TensorFlow Java 1.1.0 has ten callback slots and crashes when an eleventh registration is
 * used; one adapter that dispatches by op type needs a single slot. It lives in this package
 * because the adapter's parts are visible only here.
 */
public final class GradientBridge extends AbstractGradientAdapter {
  // Native code keeps a bare pointer to this: it must never be collected.
  private static final GradientBridge INSTANCE = new GradientBridge();

  private final Map<String, RawCustomGradient> gradients = new ConcurrentHashMap<>();

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
  public static synchronized boolean register(String opType, RawCustomGradient gradient) {
    TensorFlow.version(); // loads the native library
    if (INSTANCE.gradients.containsKey(opType)) {
      INSTANCE.gradients.put(opType, gradient);
      return true;
    }
    if (TFJ_HasGradient(opType)) {
      return false;
    }
    INSTANCE.gradients.put(opType, gradient);
    return TFJ_RegisterCustomGradient(opType, INSTANCE);
  }

  @Override
  protected List<Operand<?>> apply(
      Graph graph, TFJ_Scope scope, GraphOperation operation, List<Output<?>> gradInputs) {
    Scope inner = new NativeScope(scope, graph, null).withSubScope(operation.name());
    return gradients.get(operation.type()).call(new Ops(inner), operation, gradInputs);
  }
}
