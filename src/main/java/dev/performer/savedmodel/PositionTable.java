package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.ResourceConversion;
import dev.performer.graph.TensorNames;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.LongStream;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

/**
 * A table of a model with a row for each position of a sequence, so that longer sequences have none
 * to take: read by a gather or a slice whose rows follow from the length of the input and not from
 * token ids. What rows those are is computed by the model's own ops, for sequences of some lengths.
 *
 * @param name of the variable or constant
 * @param rows that it has
 * @param longest tokens of a sequence at most; less than the rows where some are spare
 */
public record PositionTable(String name, long rows, int longest) {
  /** The one of a signature that ends first; none where lengths are free, or fixed anyway. */
  public static Optional<PositionTable> of(SavedModelDirectory model, String signature) {
    SignatureSpec spec = model.signature(signature);
    boolean isFree =
        spec.inputs().values().stream()
            .anyMatch(i -> isSequence(i) && (i.shape().isUnknown() || i.shape().get(1) < 0));
    return isFree ? new Search(model, spec).shortest() : Optional.empty();
  }

  /** What it is in words. */
  @Override
  public String toString() {
    return "the table %s has %d rows".formatted(name, rows);
  }

  private static boolean isSequence(TensorSpec input) {
    return input.shape().isUnknown() || input.shape().numDimensions() == 2;
  }

  /** Rows of one axis of a table, as a node takes them: indices, or one bound of a slice. */
  private record Reading(String table, long rows, String bound, int place, boolean isIndex) {
    /** Rows that are needed; -1 where one before the first is. */
    long needed(long[] values) {
      if (!isIndex) {
        return values[place];
      }
      long least = LongStream.of(values).min().orElse(0);
      return least < 0 ? -1 : 1 + LongStream.of(values).max().orElse(-1);
    }

    boolean fits(long needed) {
      return needed >= 0 && needed <= rows;
    }
  }

  private static final class Search {
    private static final Set<String> SAME = Set.of("ReadVariableOp", "Identity", "Cast");

    /** What tells nothing of the numbers themselves, but of their place. */
    private static final String PLACES = "Shape|ShapeN|Size|Rank|.*Equal|Less|Greater|Logical.*";

    private static final int FEW = 32;
    private static final int MOST = 1 << 13;

    private final SavedModelDirectory model;
    private final SignatureSpec spec;
    private final GraphDef flat;
    private final GraphIndex index;
    private final Map<String, TensorSpec> inputs = new HashMap<>(); // by node

    Search(SavedModelDirectory model, SignatureSpec spec) {
      this.model = model;
      this.spec = spec;
      spec.inputs().values().forEach(i -> inputs.put(TensorNames.node(i.tensor()), i));
      var roots = spec.outputs().values().stream().map(TensorSpec::tensor).toList();
      var inlined = FunctionInliner.inline(model.metaGraph().getGraphDef(), roots).graph();
      flat = ResourceConversion.apply(inlined);
      index = new GraphIndex(flat.getNodeList());
    }

    Optional<PositionTable> shortest() {
      Map<Reading, Integer> longest = new LinkedHashMap<>();
      for (Reading reading : readings()) {
        try (Graph graph = new Graph()) {
          graph.importGraphDef(probe(reading));
          try (Session session = new Session(graph)) {
            longest(session, reading).ifPresent(length -> longest.put(reading, length));
          }
        } catch (RuntimeException unknown) { // an op that cannot run alone, or not so short a row
          continue;
        }
      }
      return longest.entrySet().stream()
          .min(Map.Entry.comparingByValue(Comparator.naturalOrder()))
          .map(e -> new PositionTable(e.getKey().table, e.getKey().rows, e.getValue()));
    }

    private List<Reading> readings() {
      Map<String, Reading> found = new LinkedHashMap<>(); // each bound once for each table
      for (NodeDef node : flat.getNodeList()) {
        List<String> in = GraphIndex.dataInputs(node);
        List<Reading> own =
            switch (node.getOp()) {
              case "GatherV2", "Gather", "ResourceGather" -> gather(node, in);
              case "Slice", "StridedSlice" -> slice(node, in);
              default -> List.of();
            };
        own.stream()
            .filter(r -> isOfPlaces(r.bound))
            .forEach(r -> found.putIfAbsent(r.table + " " + r.bound + " " + r.place, r));
      }
      return List.copyOf(found.values());
    }

    private List<Reading> gather(NodeDef node, List<String> in) {
      Shape shape = shape(in.get(0));
      long batch = node.getAttrOrDefault("batch_dims", AttrValue.getDefaultInstance()).getI();
      boolean isOfRows = batch == 0 && (in.size() < 3 || index.integer(in.get(2)).orElse(-1L) == 0);
      return isOfRows && shape.numDimensions() > 1 && shape.get(0) > 0
          ? List.of(new Reading(name(in.get(0)), shape.get(0), in.get(1), 0, true))
          : List.of();
    }

    /** The ends that a slice asks for, and for begins that count back from the end of the table. */
    private List<Reading> slice(NodeDef node, List<String> in) {
      Shape shape = shape(in.get(0));
      if (shape.numDimensions() < 2 || shape.hasUnknownDimension()) {
        return List.of();
      }
      List<Reading> all = new ArrayList<>();
      int axis = 0;
      for (int place = 0; axis < shape.numDimensions(); place++) {
        if (has(node, "ellipsis_mask", place)) {
          break; // what is behind it is counted from the last axis, where tables have their width
        } else if (!has(node, "new_axis_mask", place)) {
          long rows = shape.get(axis++);
          boolean isWhole = has(node, "end_mask", place) || has(node, "shrink_axis_mask", place);
          if (!isWhole && rows > 1) {
            all.add(new Reading(name(in.get(0)), rows, in.get(2), place, false));
          }
          if (!has(node, "begin_mask", place)) {
            all.add(new Reading(name(in.get(0)), rows, in.get(1), place, false));
          }
        }
      }
      return all;
    }

    private static boolean has(NodeDef node, String mask, int place) {
      long bits = node.getAttrOrDefault(mask, AttrValue.getDefaultInstance()).getI();
      return (bits >> place & 1) == 1;
    }

    private NodeDef table(String reference) {
      return index.find(index.source(reference, SAME)).orElse(NodeDef.getDefaultInstance());
    }

    private Shape shape(String reference) {
      NodeDef table = table(reference);
      return switch (table.getOp()) {
        case "VarHandleOp" -> GraphProtos.shape(table.getAttrOrThrow("shape").getShape());
        case "Const" ->
            GraphProtos.shape(table.getAttrOrThrow("value").getTensor().getTensorShape());
        default -> Shape.unknown();
      };
    }

    private String name(String reference) {
      String node = table(reference).getName();
      var own = model.variables().stream().filter(v -> v.node().equals(node)).findFirst();
      return own.map(VariableSpec::name).orElse(node);
    }

    /** Whether numbers follow from an input's shape, or from where it is what, but not from ids. */
    private boolean isOfPlaces(String reference) {
      Set<String> values =
          index.reached(
              List.of(reference),
              n -> n.getOp().matches(PLACES) ? List.of() : GraphIndex.dataInputs(n));
      boolean isOfIds =
          values.stream().anyMatch(n -> inputs.containsKey(n) && !isOfPlaces(inputs.get(n)));
      return !isOfIds && ancestors(reference).stream().anyMatch(inputs::containsKey);
    }

    private static boolean isOfPlaces(TensorSpec input) {
      return isSequence(input)
          && (InputFeed.isMask(input) || InputFeed.of(input) == InputFeed.POSITIONS);
    }

    private Set<String> ancestors(String reference) {
      return index.reached(List.of(reference), GraphIndex::dataInputs);
    }

    /** The ops behind a bound alone, with inputs of any size and zeros for weights. */
    private GraphDef probe(Reading reading) {
      GraphDef.Builder probe = flat.toBuilder().clearNode();
      for (String name : ancestors(reading.bound)) {
        NodeDef node = index.require(name, "a position");
        NodeDef.Builder free = node.toBuilder().clearInput();
        free.addAllInput(GraphIndex.dataInputs(node));
        switch (node.getOp()) {
          case "Placeholder" -> free.removeAttr("shape");
          case "VarHandleOp" -> zeros(probe, free, node);
          case "ReadVariableOp" ->
              free.setOp("Identity").putAttr("T", node.getAttrOrThrow("dtype")).removeAttr("dtype");
          case "ResourceGather" -> {
            probe.addNode(zero(name + "/axis", DataType.DT_INT32));
            free.setOp("GatherV2").addInput(name + "/axis");
            free.putAttr("Tparams", node.getAttrOrThrow("dtype")).removeAttr("dtype");
            free.removeAttr("validate_indices");
            free.putAttr("Taxis", GraphProtos.type(DataType.DT_INT32));
          }
          default -> {}
        }
        probe.addNode(free.removeAttr("_output_shapes"));
      }
      return probe.build();
    }

    private static void zeros(GraphDef.Builder probe, NodeDef.Builder fill, NodeDef variable) {
      String name = variable.getName();
      AttrValue type = variable.getAttrOrThrow("dtype");
      TensorProto.Builder dims = TensorProto.newBuilder().setDtype(DataType.DT_INT64);
      var shape = GraphProtos.shape(variable.getAttrOrThrow("shape").getShape());
      dims.setTensorShape(GraphProtos.shape(Shape.of(shape.numDimensions())));
      LongStream.of(shape.asArray()).forEach(dims::addInt64Val);
      var value = AttrValue.newBuilder().setTensor(dims).build();
      var int64 = GraphProtos.type(DataType.DT_INT64);
      probe.addNode(
          GraphProtos.node(name + "/dims", "Const")
              .putAttr("dtype", int64)
              .putAttr("value", value));
      probe.addNode(zero(name + "/zero", type.getType()));
      fill.setOp("Fill").clearAttr().addInput(name + "/dims").addInput(name + "/zero");
      fill.putAttr("T", type).putAttr("index_type", int64);
    }

    /** A proto without values is a tensor of zeros. */
    private static NodeDef.Builder zero(String name, DataType type) {
      var value =
          TensorProto.newBuilder().setDtype(type).setTensorShape(GraphProtos.shape(Shape.scalar()));
      return GraphProtos.node(name, "Const")
          .putAttr("dtype", GraphProtos.type(type))
          .putAttr("value", AttrValue.newBuilder().setTensor(value).build());
    }

    /** Positions go up by one per token as a rule; of other rules the length itself is tried. */
    private Optional<Integer> longest(Session session, Reading reading) {
      if (!reading.fits(needed(session, reading, 2))) {
        return Optional.empty(); // not of the length, such as "all" written as a large number
      }
      if (reading.rows > 2 * FEW) {
        long few = needed(session, reading, FEW);
        long change = needed(session, reading, 2 * FEW) - few;
        if (change == 0) {
          return Optional.empty();
        } else if (Math.abs(change) == FEW) {
          long left = change > 0 ? reading.rows - few : few;
          return Optional.of((int) Math.min(Integer.MAX_VALUE, FEW + left));
        }
      }
      long most = reading.rows + 1;
      if (most > MOST || reading.fits(needed(session, reading, (int) most))) {
        return Optional.empty();
      }
      int low = 2;
      int high = (int) most;
      while (high - low > 1) {
        int middle = (low + high) / 2;
        boolean fits = reading.fits(needed(session, reading, middle));
        low = fits ? middle : low;
        high = fits ? high : middle;
      }
      return Optional.of(low);
    }

    /** Rows of one id each, as any may be that of padding; none of them is masked. */
    private long needed(Session session, Reading reading, int length) {
      String node = TensorNames.node(reading.bound);
      if (inputs.containsKey(node)) { // nothing is fed and fetched at once
        try (Tensor values = tensor(inputs.get(node), length)) {
          return reading.needed(ArrayConversion.toArray(node, values).longs());
        }
      }
      List<Tensor> fed = new ArrayList<>();
      try {
        Session.Runner runner = session.runner();
        for (var input : inputs.entrySet()) {
          if (session.graph().operation(input.getKey()) != null) {
            fed.add(tensor(input.getValue(), length));
            runner.feed(input.getKey(), fed.get(fed.size() - 1));
          }
        }
        try (Result result = runner.fetch(node, TensorNames.index(reading.bound)).run()) {
          return reading.needed(ArrayConversion.toArray(node, result.get(0)).longs());
        }
      } finally {
        fed.forEach(Tensor::close);
      }
    }

    private Tensor tensor(TensorSpec input, int length) {
      boolean isFree = input.shape().isUnknown() || input.shape().get(0) < 0;
      PerformerException.require(isSequence(input), "the input %s is no sequence", input);
      int rows = isFree ? 3 : (int) input.shape().get(0);
      boolean isMask = InputFeed.isMask(input);
      boolean isPlace = !isMask && isOfPlaces(input);
      int[] ids = new int[rows * length];
      Arrays.setAll(ids, i -> isMask ? 1 : isPlace ? i % length : (i / length + 2) % 3);
      NpyArray values = NpyArray.of(ids, rows, length);
      var typed =
          switch (input.type()) {
            case DT_FLOAT, DT_DOUBLE, DT_HALF, DT_BFLOAT16 ->
                NpyArray.of(values.floats(), values.shape());
            case DT_BOOL -> {
              byte[] bytes = new byte[ids.length];
              Arrays.fill(bytes, (byte) 1);
              yield new NpyArray(NpyType.BOOL, values.shape(), bytes);
            }
            default -> values;
          };
      return ArrayConversion.toTensor(input, typed);
    }
  }
}
