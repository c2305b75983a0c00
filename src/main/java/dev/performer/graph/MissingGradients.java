package dev.performer.graph;

import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_HasGradient;
import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_RegisterCustomGradient;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Output;
import org.tensorflow.TensorFlow;
import org.tensorflow.internal.c_api.TFJ_GradFuncAdapter;
import org.tensorflow.op.RawCustomGradient;

/**
 * Gradients of ops that TensorFlow's C++ registry lacks and that models have between their loss and
 * their variables. Registration is for the whole process and happens once, through one native
 * callback for all: TensorFlow Java 1.1.0 has ten slots for callbacks and crashes when an eleventh
 * registration is used. A gradient may not call {@code addGradients} and may not return null.
 */
public final class MissingGradients {
  private static final Map<String, RawCustomGradient> GRADIENTS = new HashMap<>();

  // Native code keeps a bare pointer to this: it must never be collected.
  private static final TFJ_GradFuncAdapter ADAPTER =
      RawCustomGradient.adapter((tf, node, dy) -> GRADIENTS.get(node.type()).call(tf, node, dy));

  static {
    first(of -> of.dy, "EnsureShape", "PreventGradient", "CheckNumericsV2");
    first(of -> of.dy, "PlaceholderWithDefault", "Snapshot");
    first(of -> of.op("ReluGrad", of.dy, of.y), "ReluGrad");
    first(of -> of.mul(of.dy, of.op("Polygamma", of.op("OnesLike", of.x), of.x)), "Digamma");
    first(NodeGradient::erfc, "Erfc");
    first(NodeGradient::cumprod, "Cumprod");
    first(NodeGradient::cumulativeLogSumExp, "CumulativeLogsumexp");
    first(NodeGradient::euclideanNorm, "EuclideanNorm");
    first(NodeGradient::sparseCrossEntropy, "SparseSoftmaxCrossEntropyWithLogits");
    first(NodeGradient::topK, "TopKV2");
    first(NodeGradient::resourceGather, "ResourceGather");
    first(
        of -> of.op("ScatterNd", of.y, of.dy, of.cast(of.op("VariableShape", of.x), of.y)),
        "ResourceGatherNd");
    all(of -> List.of(of.dy, of.zeros(1), of.op("GatherNd", of.dy, of.y)), "TensorScatterAdd");
    all(NodeGradient::tensorScatterUpdate, "TensorScatterUpdate");
    all(NodeGradient::matrixDiag, "MatrixDiagV2", "MatrixDiagV3");
    all(NodeGradient::matrixDiagPart, "MatrixDiagPartV2", "MatrixDiagPartV3");
    all(of -> of.slopes(of.op("Xlogy", of.notZero(), of.y), of.op("Xdivy", of.x, of.y)), "Xlogy");
    all(NodeGradient::xlog1py, "Xlog1py");
    all(NodeGradient::xdivy, "Xdivy");
    // 0 where y is 0, whatever x is.
    all(of -> of.both(of.op("MulNoNan", of.dy, of.y), of.op("MulNoNan", of.x, of.dy)), "MulNoNan");
    all(of -> of.remainder(of.op("FloorDiv", of.x, of.y)), "FloorMod");
    all(NodeGradient::truncatedMod, "TruncateMod", "Mod");
    all(flat -> List.of(), "OnesLike", "Round", "Rint", "Ceil", "FloorDiv");
    GRADIENTS.put("IdentityN", IdentityGradients::gradient);
    TensorFlow.version(); // loads the native library
    for (String op : GRADIENTS.keySet()) {
      if (!TFJ_HasGradient(op)) { // TensorFlow's own cannot be replaced
        TFJ_RegisterCustomGradient(op, ADAPTER);
      }
    }
  }

  private MissingGradients() {}

  /** Makes the gradients known to TensorFlow, as does the first use of this class. */
  public static void register() {}

  /** Whether gradients flow through, or stop on purpose at, ops of this type. */
  public static boolean isDifferentiable(String opType) {
    return TFJ_HasGradient(opType);
  }

  /** Ops of which the first input alone gets a gradient. */
  private static void first(Function<NodeGradient, Output<?>> rule, String... ops) {
    all(of -> List.of(rule.apply(of)), ops);
  }

  private static void all(Function<NodeGradient, List<Output<?>>> rule, String... ops) {
    for (String op : ops) {
      GRADIENTS.put(op, (tf, node, dy) -> new NodeGradient(tf, node, dy).by(rule));
    }
  }
}
