package dev.performer.graph;

import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_HasGradient;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.TensorFlow;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;

/**
 * Gradients of ops that TensorFlow's C++ registry lacks and that models have between their loss and
 * their variables. Registration is for the whole process and happens once.
 */
public final class MissingGradients {
  private static final Set<String> REGISTERED = ConcurrentHashMap.newKeySet();

  private MissingGradients() {}

  /** Makes the gradients known to TensorFlow; does nothing the second time. */
  public static synchronized void register() {
    if (!REGISTERED.isEmpty()) {
      return;
    }
    for (String passing :
        List.of(
            "EnsureShape",
            "PreventGradient",
            "CheckNumericsV2",
            "PlaceholderWithDefault",
            "Snapshot")) {
      rule(passing, of -> List.of(of.dy()));
    }
    rule("OnesLike", of -> List.of(of.none(0)));
    rule("ResourceGather", IndexingGradients::resourceGather);
    rule("ResourceGatherNd", IndexingGradients::resourceGatherNd);
    rule("TensorScatterAdd", IndexingGradients::tensorScatterAdd);
    rule("TensorScatterUpdate", IndexingGradients::tensorScatterUpdate);
    rule("MatrixDiagV2", IndexingGradients::matrixDiag);
    rule("MatrixDiagV3", IndexingGradients::matrixDiag);
    rule("MatrixDiagPartV2", IndexingGradients::matrixDiagPart);
    rule("MatrixDiagPartV3", IndexingGradients::matrixDiagPart);
    rule("SparseSoftmaxCrossEntropyWithLogits", ElementwiseGradients::sparseCrossEntropy);
    rule("Erfc", ElementwiseGradients::erfc);
    rule("ReluGrad", ElementwiseGradients::reluGrad);
    rule("Xlogy", ElementwiseGradients::xlogy);
    rule("Xlog1py", ElementwiseGradients::xlog1py);
    rule("Xdivy", ElementwiseGradients::xdivy);
    rule("MulNoNan", ElementwiseGradients::mulNoNan);
    rule("FloorMod", ElementwiseGradients::floorMod);
    rule("TruncateMod", ElementwiseGradients::truncatedMod);
    rule("Mod", ElementwiseGradients::truncatedMod);
    rule("Cumprod", ElementwiseGradients::cumprod);
    rule("Digamma", ElementwiseGradients::digamma);
    rule("TopKV2", IndexingGradients::topK);
    rule("CumulativeLogsumexp", ElementwiseGradients::cumulativeLogSumExp);
    rule("EuclideanNorm", ElementwiseGradients::euclideanNorm);
    for (String step : List.of("Round", "Rint", "Ceil", "FloorDiv")) {
      rule(step, ElementwiseGradients::step);
    }
    registerIdentity();
  }

  /** Whether gradients flow through, or stop on purpose at, ops of this type. */
  public static boolean isDifferentiable(String opType) {
    register();
    return REGISTERED.contains(opType) || TFJ_HasGradient(opType);
  }

  private static void rule(String opType, NodeGradient.Rule rule) {
    TensorFlow.version(); // loads the native library
    boolean registered =
        GradientBridge.register(
            opType,
            (tf, node, gradients) ->
                new ArrayList<>(rule.apply(new NodeGradient(tf, node, gradients))));
    if (registered) {
      REGISTERED.add(opType);
    }
  }

  private static void registerIdentity() {
    GradientBridge.register(
        "IdentityN",
        (tf, node, gradients) -> {
          List<Output<?>> known = new ArrayList<>();
          for (int i = 0; i < node.numOutputs(); i++) {
            known.add(orZeros(tf, gradients.get(i), node.output(i)));
          }
          return IdentityGradients.find(node.env(), node.name())
              .map(own -> own.call(tf, node, known))
              .orElseGet(() -> List.<Operand<?>>copyOf(known));
        });
    REGISTERED.add("IdentityN");
  }

  private static Output<?> orZeros(Ops tf, Output<?> gradient, Output<?> output) {
    boolean known = RawOps.isPresent(gradient) || output.dataType() == DataType.DT_RESOURCE;
    return known ? gradient : new RawOps(tf).zerosLike(output);
  }
}
