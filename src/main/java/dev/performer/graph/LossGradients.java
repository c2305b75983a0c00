package dev.performer.graph;

import static dev.performer.PerformerException.require;
import static java.util.stream.Collectors.partitioningBy;
import static java.util.stream.Collectors.toSet;
import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_HasGradient;
import static org.tensorflow.internal.c_api.global.tensorflow.TFJ_RegisterCustomGradient;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.DataType;

/**
 * Gradients of a loss with respect to variables, also through ops whose gradients TensorFlow's C++
 * registry lacks. Those are registered for the whole process, once, through one native callback for
 * all: TensorFlow Java 1.1.0 has ten slots for callbacks and crashes when an eleventh registration
 * is used. A gradient may not call {@code addGradients}.
 */
public final class LossGradients {
  private static final Map<String, RawCustomGradient> MISSING = new HashMap<>();

  // By graph, as long as it lives, and by node. Graph compares by identity.
  private static final Map<Graph, Map<String, RawCustomGradient>> ATTACHED =
      Collections.synchronizedMap(new WeakHashMap<>());

  // Those of TensorFlow's C++ registry, which cannot be replaced.
  private static final Set<String> NATIVE;

  /** No gradient on purpose: in TensorFlow's C++ registry, or in Python's. */
  private static final Set<String> STOPS =
      Set.of(
          """
          ApproximateEqual ArgMax ArgMin AsString Assert BitwiseAnd BitwiseOr BitwiseXor
          BroadcastGradientArgs Bucketize CTCBeamSearchDecoder CTCGreedyDecoder Ceil ConcatOffset
          Const DecodeBase64 DecodePaddedRaw DecodeRaw DenseToDenseSetOperation
          DenseToSparseSetOperation DrawBoundingBoxes EditDistance EncodeBase64 Equal ExtractGlimpse
          Floor FloorDiv GenerateBoundingBoxProposals Greater GreaterEqual HSVToRGB
          InvertPermutation Less LessEqual LinSpace LogicalAnd LogicalNot LogicalOr LookupTableFind
          LookupTableFindV2 LowerBound Multinomial NextAfter NonMaxSuppression NonMaxSuppressionV2
          NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps
          NotEqual OneHot OnesLike ParameterizedTruncatedNormal ParseTensor RandomShuffle
          RandomStandardNormal RandomUniform Range Rank Rint Round SampleDistortedBoundingBox
          SampleDistortedBoundingBoxV2 SetSize Shape ShapeN Size StatelessMultinomial
          StatelessRandomBinomial StatelessRandomNormal StatelessRandomNormalV2
          StatelessRandomPoisson StatelessRandomUniform StatelessRandomUniformV2
          StatelessTruncatedNormal StatelessTruncatedNormalV2 StopGradient StringToNumber
          EmptyTensorList TensorListElementShape TensorListLength TensorListReserve TruncateDiv TruncatedNormal UpperBound VariableShape Where ZerosLike
          """
              .strip()
              .split("\\s+"));

  static {
    GradientRules rules = new GradientRules(MISSING);
    MathGradients.register(rules);
    MatrixGradients.register(rules);
    ScatterGradients.register(rules);
    ImageGradients.register(rules);
    rules.first(NodeGradient::cumprod, "Cumprod");
    rules.first(NodeGradient::cumulativeLogSumExp, "CumulativeLogsumexp");
    rules.first(NodeGradient::euclideanNorm, "EuclideanNorm");
    rules.first(NodeGradient::sparseCrossEntropy, "SparseSoftmaxCrossEntropyWithLogits");
    rules.first(NodeGradient::connectionist, "CTCLoss", "CTCLossV2");
    TensorListGradients.register(rules);
    FourierGradients.register(rules);
    MISSING.put(IdentityGradient.OP, LossGradients::ofIdentity);
    for (String op : ControlFlowGradients.OPS) {
      MISSING.put(op, LossGradients::ofControlFlow);
    }
    IdentityGradient.register();
    Map<Boolean, Set<String>> isNative =
        OpDefinitions.withInputs().collect(partitioningBy(LossGradients::isNative, toSet()));
    NATIVE = isNative.get(true);
    isNative.get(false).forEach(op -> TFJ_RegisterCustomGradient(op, IdentityGradient.CALLBACK));
  }

  private LossGradients() {}

  private static boolean isNative(String op) {
    return !op.equals(IdentityGradient.OP) && TFJ_HasGradient(op);
  }

  /**
   * Adds the gradients of a loss, or of its sum, to the graph, dense ones. Two variables, on each
   * of which the loss depends, may share one gradient tensor; it is empty where only ops that stop
   * gradients lie between.
   */
  public static List<Optional<Output<?>>> find(
      Graph graph, Output<?> loss, List<Variable> variables) {
    List<Output<?>> handles = variables.stream().<Output<?>>map(Variable::handle).toList();
    return find(graph, loss, handles, Recomputation.NONE);
  }

  /** The same with respect to outputs, such as handles, of a graph with parts of its own. */
  public static List<Optional<Output<?>>> find(
      Graph graph, Output<?> loss, List<Output<?>> of, Recomputation parts) {
    if (of.isEmpty()) {
      return List.of();
    }
    return parts.isEmpty()
        ? present(graph.addGradients(loss, of.toArray(Output<?>[]::new)))
        : parts.gradients(graph, loss, of);
  }

  static List<Optional<Output<?>>> present(Output<?>[] gradients) {
    return Arrays.stream(gradients)
        .map(dx -> Optional.<Output<?>>ofNullable(dx).filter(RawOps::isPresent))
        .toList();
  }

  /** Makes the missing gradients known to TensorFlow, as does the first use of this class. */
  public static void register() {}

  /** Whether gradients flow through, or stop on purpose at, ops of this type. */
  public static boolean isDifferentiable(String opType) {
    return NATIVE.contains(opType) || MISSING.containsKey(opType) || stops(opType);
  }

  /** Whether ops of this type have no gradient on purpose. */
  public static boolean stops(String opType) {
    return STOPS.contains(opType);
  }

  /** Whether tensors of a type have gradients, or lead to tensors that do. */
  public static boolean isDifferentiable(DataType type) {
    return switch (type) {
      case DT_FLOAT, DT_DOUBLE, DT_HALF, DT_BFLOAT16, DT_COMPLEX64, DT_COMPLEX128 -> true;
      case DT_RESOURCE, DT_VARIANT, DT_FLOAT_REF, DT_DOUBLE_REF -> true;
      default -> false;
    };
  }

  /** Nothing where no gradient arrives or could go on, by type or on purpose; else by the rule. */
  static List<Operand<?>> ofNode(Ops tf, GraphOperation node, List<Output<?>> dy) {
    String op = node.type();
    var inputs = IntStream.range(0, node.numInputs());
    var outputs = IntStream.range(0, node.numOutputs());
    boolean passes =
        !stops(op)
            && inputs.anyMatch(i -> isDifferentiable(node.input(i).dataType()))
            && outputs.anyMatch(
                i -> RawOps.isPresent(dy.get(i)) && isDifferentiable(node.output(i).dataType()));
    if (!passes) {
      return Collections.nCopies(node.numInputs(), null);
    }
    RawCustomGradient rule = MISSING.get(op);
    if (rule == null) {
      throw new Refusal(new GradientObstacle(op, node.name(), "", "the op has no gradient here"));
    }
    List<Operand<?>> gradients = new ArrayList<>(rule.call(tf, node, dy));
    inputs = IntStream.range(0, node.numInputs());
    inputs
        .filter(i -> !isDifferentiable(node.input(i).dataType()))
        .forEach(i -> gradients.set(i, null));
    return gradients;
  }

  /**
   * Gives one node a gradient, before any gradient is added: a loop, a branch, or an {@code
   * IdentityN}, TensorFlow's way to give a piece of a graph a gradient of its own. An {@code
   * IdentityN} without one passes gradients on.
   */
  public static void attach(Graph graph, String node, RawCustomGradient gradient) {
    ATTACHED.computeIfAbsent(graph, key -> new ConcurrentHashMap<>()).put(node, gradient);
  }

  /** A gradient that uses other tensors of the graph than those of its node. */
  public interface Capturing extends RawCustomGradient {
    /** The same of a node's copy. @param copies what stands there for the tensors, if not they */
    RawCustomGradient over(UnaryOperator<Output<?>> copies);
  }

  /** Gives a copy of a node the gradient that was attached to it, if there is one. */
  static void attachCopy(Graph graph, String from, String to, UnaryOperator<Output<?>> copies) {
    RawCustomGradient own = ATTACHED.getOrDefault(graph, Map.of()).get(from);
    if (own != null) {
      attach(graph, to, own instanceof Capturing capturing ? capturing.over(copies) : own);
    }
  }

  public static void detach(Graph graph) {
    ATTACHED.remove(graph);
  }

  private static List<Operand<?>> ofControlFlow(
      Ops tf, GraphOperation node, List<Output<?>> gradients) {
    RawCustomGradient own = ATTACHED.getOrDefault(node.env(), Map.of()).get(node.name());
    String message = "%s (node %s) was not prepared for gradients; import the graph that holds it";
    require(own != null, message, node.type(), node.name());
    return own.call(tf, node, gradients);
  }

  private static List<Operand<?>> ofIdentity(
      Ops tf, GraphOperation node, List<Output<?>> gradients) {
    RawCustomGradient own = ATTACHED.getOrDefault(node.env(), Map.of()).get(node.name());
    if (own == null && RawOps.isPresent(gradients.get(0)) && BatchProduct.isProduct(node)) {
      return new NodeGradient(tf, node, gradients).by(BatchProduct::gradients);
    }
    List<Output<?>> known = new ArrayList<>();
    for (int i = 0; i < node.numOutputs(); i++) {
      Output<?> dy = gradients.get(i);
      boolean isNumber = node.output(i).dataType() != DataType.DT_RESOURCE;
      Output<?> zeros =
          own == null || !isNumber ? null : new RawOps(tf).op("ZerosLike", node.output(i));
      known.add(RawOps.isPresent(dy) ? dy : zeros);
    }
    return own == null ? new ArrayList<>(known) : own.call(tf, node, known);
  }
}
