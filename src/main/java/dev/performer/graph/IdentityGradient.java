package dev.performer.graph;

import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_RegisterCustomGradient;

import org.tensorflow.TensorFlow;
import org.tensorflow.internal.c_api.TFJ_GradFuncAdapter;

/**
 * The one native callback for gradients of ours, known for {@code IdentityN} from the first use of
 * this class on. {@link LossGradients}, which knows every op, is loaded with the first gradient.
 */
final class IdentityGradient {
  static final String OP = "IdentityN";

  // Native code keeps a bare pointer to this: it must never be collected.
  static final TFJ_GradFuncAdapter CALLBACK = new GradientCallback(LossGradients::ofNode);

  static {
    TensorFlow.version(); // loads the native library
    TFJ_RegisterCustomGradient(OP, CALLBACK);
  }

  private IdentityGradient() {}

  /** Makes the gradient known to TensorFlow, as does the first use of this class. */
  static void register() {}
}
