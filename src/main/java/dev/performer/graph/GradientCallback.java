package dev.performer.graph;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerPointer;
import org.tensorflow.AbstractGradientAdapter;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.internal.c_api.TFJ_GradFuncAdapter;
import org.tensorflow.internal.c_api.TFJ_GraphId;
import org.tensorflow.internal.c_api.TFJ_Scope;
import org.tensorflow.internal.c_api.TF_Operation;
import org.tensorflow.internal.c_api.TF_Output;
import org.tensorflow.op.RawCustomGradient;

/**
 * What native code calls for a gradient of ours. Unlike TensorFlow Java's own callback it lets a
 * rule give null for an input: no gradient, as TensorFlow's C++ rules say it, instead of zeros,
 * which would go on into whatever the input was computed from.
 */
final class GradientCallback extends AbstractGradientAdapter {
  // An output without an operation, at this index, is TensorFlow's "no gradient".
  private static final int NONE = -1;

  private final ThreadLocal<List<Integer>> absent = ThreadLocal.withInitial(ArrayList::new);
  private final TFJ_GradFuncAdapter complete;

  GradientCallback(RawCustomGradient rule) {
    complete =
        RawCustomGradient.adapter(
            (tf, node, dy) -> {
              List<Operand<?>> gradients = new ArrayList<>(rule.call(tf, node, dy));
              absent.get().clear();
              for (int i = 0; i < gradients.size(); i++) {
                if (gradients.get(i) == null) {
                  absent.get().add(i);
                  gradients.set(i, node.input(i));
                }
              }
              return gradients;
            });
  }

  @Override
  public int call(
      TFJ_GraphId graph,
      TFJ_Scope scope,
      TF_Operation node,
      TF_Output gradients,
      int count,
      @SuppressWarnings("rawtypes") PointerPointer found) {
    int size = complete.call(graph, scope, node, gradients, count, found);
    TF_Output array = (TF_Output) found.get(TF_Output.class, 0);
    absent.get().forEach(i -> array.getPointer((long) i).oper(null).index(NONE));
    return size;
  }

  @Override
  protected List<Operand<?>> apply(
      Graph graph, TFJ_Scope scope, GraphOperation node, List<Output<?>> gradients) {
    throw new UnsupportedOperationException("the complete callback is called instead");
  }
}
