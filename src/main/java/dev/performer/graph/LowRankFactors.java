package dev.performer.graph;

import static dev.performer.graph.GraphProtos.INT32;
import static dev.performer.graph.GraphProtos.ints;
import static dev.performer.graph.GraphProtos.node;
import static dev.performer.graph.GraphProtos.type;

import com.google.protobuf.ByteString;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

/**
 * Gives weights of a graph about to be imported low-rank factors: wherever W is read, {@code W +
 * scale·A·B} goes on in its place, under the name of the read. A weight of more than two axes is
 * folded to a matrix where its product contracts it, such as attention's {@code [E, H, D]} to
 * {@code [E, H·D]}.
 */
public final class LowRankFactors {
  /** On a sum, the node of its first factor. */
  private static final String MARK = "_low_rank_factor";

  private static final Set<String> PRODUCTS =
      Set.of(
          "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D", "Conv3D");
  private static final Set<String> SAME = Set.of("Identity", "Cast", "EnsureShape");
  private static final Set<String> PASSING =
      Set.of(
          "Identity",
          "Cast",
          "EnsureShape",
          "Reshape",
          "Transpose",
          "ExpandDims",
          "Squeeze",
          "Pack",
          "ConcatV2",
          "Split",
          "SplitV",
          "Slice",
          "StridedSlice");
  private static final Set<String> IDLE =
      Set.of("VariableShape", "VarIsInitializedOp", "DisableCopyOnRead");

  /**
   * A weight that a matrix product reads.
   *
   * @param node of its handle
   * @param split axes before it are rows, the others columns
   * @param isTable whether a gather reads it, too
   * @param obstacle what reads it in a way that factors do not reach; empty for none
   */
  public record Weight(
      String node, Shape shape, DataType type, int split, boolean isTable, String obstacle) {
    public long rows() {
      return product(shape, 0, split);
    }

    public long columns() {
      return product(shape, split, shape.numDimensions());
    }

    private static long product(Shape shape, int from, int to) {
      return IntStream.range(from, to).mapToLong(shape::get).reduce(1, Math::multiplyExact);
    }
  }

  /** The nodes of a weight's factors, {@code [rows, rank]} and {@code [rank, columns]}, and sum. */
  public record Factors(Weight weight, String a, String b, String sum) {}

  private final GraphDef graph;
  private final GraphIndex index;
  private final Map<String, List<NodeDef>> users = new HashMap<>();
  private String scope = "lora";

  public LowRankFactors(GraphDef graph) {
    this.graph = graph;
    index = new GraphIndex(graph.getNodeList());
    for (NodeDef node : graph.getNodeList()) {
      new HashSet<>(GraphIndex.dataInputs(node).stream().map(TensorNames::node).toList())
          .forEach(input -> users.computeIfAbsent(input, key -> new ArrayList<>()).add(node));
      while (node.getName().equals(scope) || node.getName().startsWith(scope + "/")) {
        scope += "_";
      }
    }
  }

  private List<NodeDef> users(NodeDef node) {
    return users.getOrDefault(node.getName(), List.of());
  }

  /** The weight of a handle; none where no matrix product reads it. */
  public Optional<Weight> weight(String handle) {
    NodeDef variable = index.require(handle, "a weight");
    Shape shape = GraphProtos.shape(variable.getAttrOrThrow("shape").getShape());
    if (shape.numDimensions() < 2 || shape.hasUnknownDimension()) {
      return Optional.empty();
    }
    List<NodeDef> reads = new ArrayList<>();
    boolean isTable = false;
    String obstacle = "";
    for (NodeDef user : usersOfHandle(variable)) {
      switch (user.getOp()) {
        case "ReadVariableOp" -> {
          reads.add(user);
          isTable |= users(user).stream().anyMatch(u -> u.getOp().startsWith("Gather"));
        }
        case "ResourceGather" -> isTable = true;
        default ->
            obstacle =
                IDLE.contains(user.getOp()) ? obstacle : user.getOp() + " (" + user.getName() + ")";
      }
    }
    int split = split(reads, shape);
    DataType type = variable.getAttrOrThrow("dtype").getType();
    return split > 0 || !obstacle.isEmpty()
        ? Optional.of(new Weight(handle, shape, type, Math.max(1, split), isTable, obstacle))
        : Optional.empty();
  }

  private List<NodeDef> usersOfHandle(NodeDef handle) {
    List<NodeDef> all = new ArrayList<>();
    for (NodeDef user : users(handle)) {
      all.addAll(user.getOp().equals("Identity") ? usersOfHandle(user) : List.of(user));
    }
    return all;
  }

  /** Where the first matrix product that reads this folds it; 0 where none does. */
  private int split(List<NodeDef> reads, Shape shape) {
    Set<String> seen = new HashSet<>();
    var open = new ArrayDeque<NodeDef>(reads);
    Set<String> same = new HashSet<>(reads.stream().map(NodeDef::getName).toList());
    while (!open.isEmpty()) {
      NodeDef node = open.remove();
      for (NodeDef user : users(node)) {
        boolean isSame = same.contains(node.getName());
        if (PRODUCTS.contains(user.getOp())) {
          boolean isEinsum = isSame && user.getOp().equals("Einsum");
          int last = shape.numDimensions() - 1;
          return isEinsum ? contracted(user, node, last) : unfolded(node, shape).orElse(last);
        } else if (PASSING.contains(user.getOp()) && seen.add(user.getName())) {
          open.add(user);
          if (isSame && SAME.contains(user.getOp())) {
            same.add(user.getName());
          }
        }
      }
    }
    return 0;
  }

  /** Axes that an einsum sums over are rows if they come first, columns if they come last. */
  private static int contracted(NodeDef einsum, NodeDef weight, int otherwise) {
    String[] sides = einsum.getAttrOrThrow("equation").getS().toStringUtf8().split("->");
    List<String> inputs = GraphIndex.dataInputs(einsum).stream().map(TensorNames::node).toList();
    String labels = sides[0].split(",")[inputs.indexOf(weight.getName())].strip();
    String kept = sides.length > 1 ? sides[1] : "";
    var places = IntStream.range(0, labels.length());
    int[] summed = places.filter(i -> kept.indexOf(labels.charAt(i)) < 0).toArray();
    int count = summed.length;
    boolean isFit = labels.length() == otherwise + 1 && count > 0 && count <= otherwise;
    if (isFit && summed[count - 1] == count - 1) {
      return count;
    }
    return isFit && summed[0] == labels.length() - count ? labels.length() - count : otherwise;
  }

  /** The fold that a weight is reshaped to before its product. */
  private Optional<Integer> unfolded(NodeDef reshape, Shape shape) {
    if (!reshape.getOp().equals("Reshape")) {
      return Optional.empty();
    }
    Optional<Long> rows = index.leading(reshape.getInput(1));
    return IntStream.range(1, shape.numDimensions())
        .boxed()
        .filter(i -> rows.isPresent() && Weight.product(shape, 0, i) == rows.get())
        .findFirst();
  }

  /** Adds factors of a rank, and says where. @param scale of their product */
  public GraphDef adapt(List<Weight> weights, int rank, double scale, List<Factors> added) {
    Map<String, Factors> byRead = new HashMap<>();
    GraphDef.Builder adapted = graph.toBuilder().clearNode();
    for (Weight weight : weights) {
      Factors factors = factors(adapted, weight, rank, scale);
      added.add(factors);
      usersOfHandle(index.require(weight.node, "a weight"))
          .forEach(user -> byRead.put(user.getName(), factors));
    }
    for (NodeDef node : graph.getNodeList()) {
      Factors factors = byRead.get(node.getName());
      if (factors == null || IDLE.contains(node.getOp())) {
        adapted.addNode(node);
      } else if (node.getOp().equals("ReadVariableOp")) {
        String stored = scope + "/" + node.getName();
        adapted.addNode(node.toBuilder().setName(stored));
        adapted.addNode(sum(node.getName(), stored, factors));
      } else {
        adapted.addNode(gather(adapted, node, factors));
      }
    }
    return adapted.build();
  }

  private Factors factors(GraphDef.Builder adapted, Weight weight, int rank, double scale) {
    String in = scope + "/" + weight.node;
    Factors factors = new Factors(weight, in + "/a", in + "/b", in + "/sum");
    AttrValue type = type(weight.type);
    AttrValue single = type(DataType.DT_FLOAT);
    variable(adapted, factors.a, Shape.of(weight.rows(), rank));
    variable(adapted, factors.b, Shape.of(rank, weight.columns()));
    var product = node(in + "/product", "MatMul", factors.a + "/read", factors.b + "/read");
    adapted.addNode(product.putAttr("T", single));
    var value = TensorProto.newBuilder().setDtype(DataType.DT_FLOAT).addFloatVal((float) scale);
    value.setTensorShape(GraphProtos.shape(Shape.scalar()));
    var constant = node(in + "/scale", "Const").putAttr("dtype", single);
    adapted.addNode(constant.putAttr("value", AttrValue.newBuilder().setTensor(value).build()));
    adapted.addNode(
        node(in + "/scaled", "Mul", in + "/product", in + "/scale").putAttr("T", single));
    int[] sizes =
        IntStream.range(0, weight.shape.numDimensions())
            .map(i -> (int) weight.shape.get(i))
            .toArray();
    adapted.addNode(ints(in + "/shape", Shape.of(sizes.length), sizes));
    var folded = node(in + "/folded", "Reshape", in + "/scaled", in + "/shape");
    adapted.addNode(folded.putAttr("T", single).putAttr("Tshape", INT32));
    var change = node(in + "/change", "Cast", in + "/folded").putAttr("SrcT", single);
    adapted.addNode(change.putAttr("DstT", type));
    adapted.addNode(node(in + "/read", "ReadVariableOp", weight.node).putAttr("dtype", type));
    adapted.addNode(sum(factors.sum, in + "/read", factors));
    return factors;
  }

  private static void variable(GraphDef.Builder adapted, String name, Shape shape) {
    AttrValue single = type(DataType.DT_FLOAT);
    var shared = AttrValue.newBuilder().setS(ByteString.copyFromUtf8(name)).build();
    var sizes = AttrValue.newBuilder().setShape(GraphProtos.shape(shape)).build();
    NodeDef.Builder handle = node(name, "VarHandleOp").putAttr("dtype", single);
    adapted.addNode(handle.putAttr("shared_name", shared).putAttr("shape", sizes));
    adapted.addNode(node(name + "/read", "ReadVariableOp", name).putAttr("dtype", single));
  }

  private NodeDef sum(String name, String stored, Factors factors) {
    AttrValue mark = AttrValue.newBuilder().setS(ByteString.copyFromUtf8(factors.a)).build();
    return node(name, "AddV2", stored, scope + "/" + factors.weight.node + "/change")
        .putAttr("T", type(factors.weight.type))
        .putAttr(MARK, mark)
        .build();
  }

  /** A look-up in the sum in place of one in the variable. */
  private NodeDef gather(GraphDef.Builder adapted, NodeDef original, Factors factors) {
    String axis = scope + "/" + original.getName() + "/axis";
    AttrValue none = AttrValue.getDefaultInstance();
    AttrValue batch = original.getAttrOrDefault("batch_dims", none);
    adapted.addNode(ints(axis, Shape.scalar(), (int) batch.getI()));
    return node(original.getName(), "GatherV2", factors.sum, original.getInput(1), axis)
        .addAllInput(GraphIndex.controlInputs(original))
        .putAttr("Tparams", type(factors.weight.type))
        .putAttr("Tindices", original.getAttrOrThrow("Tindices"))
        .putAttr("Taxis", INT32)
        .putAttr("batch_dims", AttrValue.newBuilder().setI(batch.getI()).build())
        .build();
  }

  /** A graph whose sums are the weights alone where their factors are not among these nodes. */
  static GraphDef merged(GraphDef graph, Set<String> kept) {
    GraphDef.Builder merged = graph.toBuilder().clearNode();
    for (NodeDef node : graph.getNodeList()) {
      boolean isSum =
          node.containsAttr(MARK)
              && !kept.contains(node.getAttrOrThrow(MARK).getS().toStringUtf8());
      merged.addNode(
          isSum
              ? node(node.getName(), "Identity", node.getInput(0))
                  .putAttr("T", node.getAttrOrThrow("T"))
                  .build()
              : node);
    }
    return merged.build();
  }
}
