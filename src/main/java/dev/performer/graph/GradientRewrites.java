package dev.performer.graph;

import static dev.performer.graph.GraphProtos.INT32;
import static dev.performer.graph.GraphProtos.ints;
import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;
import static dev.performer.graph.LossGradients.isDifferentiable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Replaces, in a graph about to be imported, what TensorFlow's C++ registry differentiates wrongly
 * or not at all by an equal, under the same names, that it differentiates rightly.
 */
public final class GradientRewrites {
  private static final Set<String> CONVOLUTION_ATTRIBUTES =
      Set.of("strides", "padding", "explicit_paddings", "data_format", "dilations");

  private final GraphIndex index;
  private final GraphDef.Builder rewritten;
  private final Set<String> scopes = new HashSet<>();
  private final Map<String, RawCustomGradient> ownGradients = new HashMap<>();
  private final Map<String, GradientObstacle> obstacles = new HashMap<>();
  private final Map<String, List<Integer>> carried = new HashMap<>();
  private final FlatGraph flat;
  private final ControlFlowGradients functions;
  private Set<String> ofVariables;

  /**
   * @param flat where the graph's nodes come from
   * @param functions that the graph's loops and branches run
   */
  public GradientRewrites(FlatGraph flat, GraphDef original, ControlFlowGradients functions) {
    GraphDef graph = NarrowIndices.apply(original);
    this.flat = flat;
    this.functions = functions;
    index = new GraphIndex(graph.getNodeList());
    rewritten = graph.toBuilder().clearNode();
    index.nodes().forEach(n -> scopes.add(n.getName().replaceFirst("/?[^/]*$", "")));
    graph.getNodeList().forEach(this::rewrite);
  }

  /** With the functions that it runs, and those that its gradients run. */
  public GraphDef graph() {
    return rewritten.setLibrary(functions.usedBy(rewritten.getNodeList())).build();
  }

  /** Why a loop or branch has no gradient, if it has none, by its node. */
  public Map<String, GradientObstacle> obstacles() {
    return obstacles;
  }

  /** Inputs of loops and branches through which gradients pass, by their nodes. */
  public Map<String, List<Integer>> carried() {
    return carried;
  }

  public void attach(Graph graph) {
    ownGradients.forEach((node, own) -> LossGradients.attach(graph, node, own));
  }

  private void rewrite(NodeDef node) {
    switch (node.getOp()) {
      case "LogSoftmax" -> logSoftmax(node);
      case "GatherV2" -> gather(node);
      case "Gather" -> gatherV1(node);
      case "Concat" -> concatV1(node);
      case "Atan2" -> atan2(node);
      case "FusedBatchNorm", "FusedBatchNormV2" -> fusedBatchNorm(node);
      case "Conv2D", "DepthwiseConv2dNative" -> convolution(node);
      case "Cast" -> cast(node);
      case "SoftmaxCrossEntropyWithLogits" -> crossEntropy(node);
      case "QuantizeAndDequantizeV4" -> quantization(node);
      case "Complex", "Real", "Imag", "Angle" -> complex(node);
      case "IdentityN" -> identity(node);
      case "While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase" ->
          controlFlow(node);
      default -> rewritten.addNode(node);
    }
  }

  /** Gradients would be looked for behind inputs that never get one. */
  private void identity(NodeDef original) {
    NodeDef.Builder stopped = original.toBuilder();
    List<Integer> inputs = functions.own().stopped(original);
    String in = inputs.isEmpty() ? "" : scope(original);
    for (int i : inputs) {
      DataType type = original.getAttrOrThrow("T").getList().getType(i);
      add(node(in + i, "StopGradient", original.getInput(i)), Map.of("T", type(type)));
      stopped.setInput(i, in + i);
    }
    rewritten.addNode(stopped);
  }

  private void controlFlow(NodeDef node) {
    String name = node.getName();
    try {
      var own = functions.rewrite(node, index, flat, scope(node));
      rewritten.addAllNode(own.nodes());
      ownGradients.put(name, own.gradient());
      carried.put(name, own.carried());
    } catch (RuntimeException e) { // it can still be run
      GradientObstacle obstacle =
          e instanceof Refusal refusal
              ? refusal.obstacle()
              : Refusal.obstacle(node, flat, NativeErrors.firstLine(e));
      rewritten.addNode(node);
      obstacles.put(name, obstacle);
      ownGradients.put(
          name,
          (tf, operation, dy) -> {
            throw new Refusal(obstacle);
          });
    }
  }

  private void add(NodeDef.Builder node, Map<String, AttrValue> attributes) {
    rewritten.addNode(node.putAllAttr(attributes));
  }

  private static AttrValue integer(int value) {
    return AttrValue.newBuilder().setI(value).build();
  }

  /** Where the new nodes of a rewritten one can go without meeting others. */
  private String scope(NodeDef original) {
    String scope = original.getName() + "/rewritten";
    while (index.find(scope).isPresent() || !scopes.add(scope)) {
      scope += "_";
    }
    return scope + "/";
  }

  /** The C++ gradient sums over axis 1: right for matrices only, wrong without a word otherwise. */
  private void logSoftmax(NodeDef original) {
    String in = scope(original);
    String x = original.getInput(0);
    AttrValue t = original.getAttrOrThrow("T");
    Map<String, AttrValue> reshape = Map.of("T", t, "Tshape", INT32);
    add(node(in + "shape", "Shape", x), Map.of("T", t, "out_type", INT32));
    rewritten.addNode(ints(in + "last", Shape.of(1), -1));
    rewritten.addNode(ints(in + "end", Shape.of(1), 0));
    rewritten.addNode(ints(in + "step", Shape.of(1), 1));
    var slice =
        node(in + "classes", "StridedSlice", in + "shape", in + "last", in + "end", in + "step");
    add(slice, Map.of("T", INT32, "Index", INT32, "end_mask", integer(1)));
    rewritten.addNode(ints(in + "axis", Shape.scalar(), 0));
    var shape = node(in + "matrix_shape", "ConcatV2", in + "last", slice.getName(), in + "axis");
    add(shape, Map.of("N", integer(2), "T", INT32, "Tidx", INT32));
    add(node(in + "matrix", "Reshape", x, shape.getName()), reshape);
    add(node(in + "rows", "LogSoftmax", in + "matrix"), Map.of("T", t));
    var same = node(original.getName(), "Reshape", in + "rows", in + "shape");
    add(same.addAllInput(GraphIndex.controlInputs(original)), reshape);
  }

  /** The gradients of a negative axis and of negative batch dimensions fail when they run. */
  private void gather(NodeDef original) {
    NodeDef.Builder gather = original.toBuilder();
    long batch = original.getAttrOrDefault("batch_dims", integer(0)).getI();
    NodeDef indices = index.find(original.getInput(1)).orElse(original);
    if (batch < 0 && indices.getOp().equals("Const")) {
      var shape = indices.getAttrOrThrow("value").getTensor().getTensorShape();
      gather.putAttr("batch_dims", integer((int) batch + shape.getDimCount()));
    }
    String axis = original.getInput(2);
    if (index.integer(axis).filter(known -> known >= 0).isEmpty()) {
      String in = scope(original);
      AttrValue type = original.getAttrOrThrow("Taxis");
      AttrValue t = original.getAttrOrThrow("Tparams");
      add(node(in + "rank32", "Rank", original.getInput(0)), Map.of("T", t));
      add(node(in + "rank", "Cast", in + "rank32"), Map.of("SrcT", INT32, "DstT", type));
      // FloorMod leaves an axis alone that is not negative.
      add(node(in + "axis", "FloorMod", axis, in + "rank"), Map.of("T", type));
      gather.setInput(2, in + "axis");
    }
    rewritten.addNode(gather);
  }

  /** {@code Gather} is {@code GatherV2} along axis 0. */
  private void gatherV1(NodeDef original) {
    String axis = scope(original) + "axis";
    rewritten.addNode(ints(axis, Shape.scalar(), 0));
    List<String> inputs = new ArrayList<>(original.getInputList());
    inputs.add(2, axis);
    NodeDef.Builder second = original.toBuilder().setOp("GatherV2").removeAttr("validate_indices");
    add(second.clearInput().addAllInput(inputs), Map.of("Taxis", INT32));
  }

  /** {@code Concat} takes the axis first, {@code ConcatV2} last. */
  private void concatV1(NodeDef original) {
    List<String> data = GraphIndex.dataInputs(original);
    NodeDef.Builder second = original.toBuilder().setOp("ConcatV2").clearInput();
    second.addAllInput(data.subList(1, data.size())).addInput(data.get(0));
    add(second.addAllInput(GraphIndex.controlInputs(original)), Map.of("Tidx", INT32));
  }

  /**
   * Its gradient goes on into integers, whose ops have none, or back to numbers before rounding.
   */
  private void cast(NodeDef original) {
    boolean isInner = isDifferentiable(original.getAttrOrThrow("SrcT").getType());
    AttrValue t = original.getAttrOrThrow("DstT");
    if (isInner || !isDifferentiable(t.getType()) || !ofVariables().contains(original.getName())) {
      rewritten.addNode(original);
      return;
    }
    String in = scope(original);
    rewritten.addNode(original.toBuilder().setName(in + "forward"));
    add(node(original.getName(), "StopGradient", in + "forward"), Map.of("T", t));
  }

  /** What is computed from a variable, or from an argument of the function that the graph is. */
  private Set<String> ofVariables() {
    if (ofVariables == null) {
      Map<String, List<String>> users = new HashMap<>();
      List<String> variables = new ArrayList<>();
      for (NodeDef node : index.nodes()) {
        if (node.getOp().equals("VarHandleOp") || FunctionGraph.isArgument(node)) {
          variables.add(node.getName());
        }
        for (String input : GraphIndex.dataInputs(node)) {
          users
              .computeIfAbsent(TensorNames.node(input), key -> new ArrayList<>())
              .add(node.getName());
        }
      }
      ofVariables = index.reached(variables, node -> users.getOrDefault(node.getName(), List.of()));
    }
    return ofVariables;
  }

  /** Its gradient does not sum over broadcast dimensions, that of {@code BroadcastTo} does. */
  private void atan2(NodeDef original) {
    String in = scope(original);
    AttrValue t = original.getAttrOrThrow("T");
    NodeDef.Builder same = original.toBuilder();
    for (int i = 0; i < 2; i++) {
      String input = original.getInput(i);
      var wide = node(in + "input" + i, "BroadcastTo", input, in + "shape");
      add(node(in + "shape" + i, "Shape", input), Map.of("T", t, "out_type", INT32));
      add(wide, Map.of("T", t, "Tidx", INT32));
      same.setInput(i, wide.getName());
    }
    add(node(in + "shape", "BroadcastArgs", in + "shape0", in + "shape1"), Map.of("T", INT32));
    rewritten.addNode(same);
  }

  /** Only the third version has a gradient; its first five outputs are those of the others. */
  private void fusedBatchNorm(NodeDef original) {
    AttrValue u = original.getAttrOrDefault("U", type(DataType.DT_FLOAT));
    // TF1 notes the shapes of all outputs, of which the third version has one more.
    var third = original.toBuilder().setOp("FusedBatchNormV3").removeAttr("_output_shapes");
    add(third, Map.of("U", u));
  }

  /** The gradient forgets dilations and explicit paddings: give the node one that does not. */
  private void convolution(NodeDef original) {
    AttrValue none = AttrValue.getDefaultInstance();
    List<Long> dilations = original.getAttrOrDefault("dilations", none).getList().getIList();
    String padding = original.getAttrOrDefault("padding", none).getS().toStringUtf8();
    if (dilations.stream().allMatch(dilation -> dilation == 1) && !padding.equals("EXPLICIT")) {
      rewritten.addNode(original);
      return;
    }
    replace(original, (tf, node, dy) -> ofConvolution(original, new RawOps(tf), node, dy));
  }

  /** The gradient is made for float32 only. */
  private void crossEntropy(NodeDef original) {
    if (original.getAttrOrThrow("T").getType() == DataType.DT_FLOAT) {
      rewritten.addNode(original);
    } else {
      replace(original, (tf, node, dy) -> ofCrossEntropy(new RawOps(tf), node, dy.get(0)));
    }
  }

  /** The gradient is built from the wrong inputs. */
  private void quantization(NodeDef original) {
    AttrValue axis = original.getAttrOrDefault("axis", integer(-1));
    replace(
        original,
        (tf, node, dy) -> {
          RawOps ops = new RawOps(tf);
          var builder = ops.builder("QuantizeAndDequantizeV4Grad", dy.get(0), node.input(1));
          builder.addInput(node.input(2)).addInput(node.input(3)).setAttr("axis", axis);
          var found = builder.build();
          return Arrays.asList(null, found.output(0), found.output(1), found.output(2));
        });
  }

  /** The gradient is made for single precision only. */
  private void complex(NodeDef original) {
    DataType type = original.getAttrOrDefault("T", AttrValue.getDefaultInstance()).getType();
    if (type != DataType.DT_DOUBLE && type != DataType.DT_COMPLEX128) {
      rewritten.addNode(original);
    } else {
      replace(
          original, (tf, node, dy) -> ofComplex(original.getOp(), new RawOps(tf), node, dy.get(0)));
    }
  }

  /** Of an {@code IdentityN} over an op's output and inputs, in double precision. */
  private static List<Operand<?>> ofComplex(
      String op, RawOps ops, GraphOperation node, Output<?> dy) {
    Output<?> x = node.input(1);
    return switch (op) {
      case "Complex" ->
          Arrays.asList(
              null,
              ops.unbroadcast(ops.wide("Real", dy), x, dy),
              ops.unbroadcast(ops.wide("Imag", dy), node.input(2), dy));
      case "Real" -> Arrays.asList(null, ops.cast(dy, x));
      case "Imag" -> Arrays.asList(null, ops.wide("Complex", ops.op("ZerosLike", dy), dy));
      default -> { // i·x/|x|² turns the angle
        Output<?> turned =
            ops.wide("Complex", ops.op("Neg", ops.wide("Imag", x)), ops.wide("Real", x));
        Output<?> size = ops.op("Square", ops.wide("ComplexAbs", x));
        yield Arrays.asList(null, ops.mul(ops.cast(ops.op("DivNoNan", dy, size), x), turned));
      }
    };
  }

  /**
   * An {@code IdentityN} over a node's outputs, past which no gradient goes, and its inputs, all of
   * its type {@code T}: its gradient is that of the node.
   */
  private void replace(NodeDef original, RawCustomGradient own) {
    String in = scope(original);
    List<DataType> types = new ArrayList<>(OpDefinitions.outputTypes(original));
    List<String> inputs = GraphIndex.dataInputs(original);
    rewritten.addNode(original.toBuilder().setName(in + "forward"));
    NodeDef.Builder node = node(original.getName(), "IdentityN");
    for (int i = 0; i < types.size(); i++) {
      String output = in + "output" + i;
      var stop = node(output, "StopGradient", TensorNames.of(in + "forward", i));
      add(stop, Map.of("T", type(types.get(i))));
      node.addInput(output);
    }
    types.addAll(Collections.nCopies(inputs.size(), original.getAttrOrThrow("T").getType()));
    add(node.addAllInput(inputs), Map.of("T", GraphProtos.types(types)));
    ownGradients.put(original.getName(), own);
  }

  /** Of an {@code IdentityN} over the op's loss and loss by logits, logits and labels. */
  private static List<Operand<?>> ofCrossEntropy(RawOps ops, GraphOperation node, Output<?> dy) {
    Output<?> byLogits = node.input(1);
    Output<?> logits = node.input(2);
    Output<?> labels = node.input(3);
    Output<?> perExample = ops.column(dy);
    Output<?> ofLogits = ops.mul(perExample, byLogits);
    Output<?> ofLabels = ops.op("Neg", ops.mul(perExample, ops.op("LogSoftmax", logits)));
    return Arrays.asList(
        null,
        null,
        ops.unbroadcast(ofLogits, logits, byLogits),
        ops.unbroadcast(ofLabels, labels, byLogits));
  }

  /** Of an {@code IdentityN} over the convolution's output, input and filter. */
  private static List<Operand<?>> ofConvolution(
      NodeDef convolution, RawOps ops, GraphOperation node, List<Output<?>> gradients) {
    String type = convolution.getOp();
    UnaryOperator<OperationBuilder> same =
        builder -> {
          Map<String, AttrValue> attributes = new HashMap<>(convolution.getAttrMap());
          attributes.keySet().retainAll(CONVOLUTION_ATTRIBUTES);
          attributes.forEach(builder::setAttr);
          return builder;
        };
    Output<?> dy = gradients.get(0);
    Output<?> x = node.input(1);
    Output<?> filter = node.input(2);
    // The other two outputs of the IdentityN have no consumers.
    return Arrays.asList(
        null,
        ops.op(type + "BackpropInput", same, ops.op("Shape", x), filter, dy),
        ops.op(type + "BackpropFilter", same, x, ops.op("Shape", filter), dy));
  }
}
