package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionGraph;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.LossGradients;
import dev.performer.graph.NodeCopies;
import dev.performer.graph.OwnGradients;
import dev.performer.graph.TensorNames;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedConcreteFunction;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObject;
import org.tensorflow.proto.Struct.StructuredValue;

/**
 * Python's {@code tf.custom_gradient} in a SavedModel: an {@code IdentityN} whose gradient is a
 * function of the library, which captures tensors of the forward pass.
 */
final class CustomGradients implements OwnGradients {
  private static final String TYPE = "_gradient_op_type";
  private static final String UNSAVED =
      "it has a custom gradient that was not saved; save the model with"
          + " SaveOptions(experimental_custom_gradients=True)";

  private final SavedModelDirectory model;
  private final ObjectGraph objects;
  private final Map<String, String> functionOfType = new HashMap<>();
  private final Map<String, FunctionGraph> flattened = new HashMap<>();

  private record Captures(List<String> references, Optional<String> trouble) {
    static Captures none(String trouble) {
      return new Captures(List.of(), Optional.of(trouble));
    }
  }

  CustomGradients(SavedModelDirectory model) {
    this.model = model;
    objects = model.objects();
    for (var g : model.metaGraph().getGraphDef().getLibrary().getRegisteredGradientsList()) {
      functionOfType.put(g.getRegisteredOpType(), g.getGradientFunc());
    }
  }

  @Override
  public List<String> alsoNeeded(NodeDef node, Optional<FlatGraph.Call> call) {
    return isCustom(node) ? captures(node, call).references() : List.of();
  }

  Optional<String> obstacle(NodeDef node, Optional<FlatGraph.Call> call) {
    return isCustom(node) ? captures(node, call).trouble() : Optional.empty();
  }

  @Override
  public List<Integer> stopped(NodeDef node) {
    if (!isCustom(node)) {
      return List.of();
    }
    String function = functionOfType.getOrDefault(type(node), "");
    var structure = objects.concreteFunction(function).map(CustomGradients::gradients);
    List<StructuredValue> known = structure.orElse(List.of());
    return IntStream.range(0, known.size())
        .filter(i -> known.get(i).hasNoneValue())
        .boxed()
        .toList();
  }

  /** Python returns None for the inputs of the IdentityN that are forward results. */
  private static List<StructuredValue> gradients(SavedConcreteFunction concrete) {
    var structure = concrete.getOutputSignature();
    var list = structure.getListValue().getValuesList(); // empty if it is a tuple
    return list.isEmpty() ? structure.getTupleValue().getValuesList() : list;
  }

  @Override
  public void attach(Graph graph, FlatGraph flat) {
    Set<String> added = new HashSet<>();
    for (NodeDef node : flat.graph().getNodeList()) {
      var call = flat.callOf(node.getName());
      if (isCustom(node) && obstacle(node, call).isEmpty()) {
        List<Output<?>> captured = new ArrayList<>();
        alsoNeeded(node, call).forEach(r -> captured.add(graph.outputOrThrow(flat.resolve(r))));
        String function = functionOfType.get(type(node));
        var library = flatten(function).flat().graph().getLibrary();
        if (library.getFunctionCount() > 0 && added.add(function)) {
          graph.importGraphDef(GraphDef.newBuilder().setLibrary(library).build());
        }
        var replay = new Replay(flatten(function), concrete(function), captured);
        LossGradients.attach(graph, node.getName(), replay);
      }
    }
  }

  private static boolean isCustom(NodeDef node) {
    return node.containsAttr(TYPE);
  }

  private static String type(NodeDef node) {
    return node.getAttrOrThrow(TYPE).getS().toStringUtf8();
  }

  private SavedConcreteFunction concrete(String function) {
    return objects.concreteFunction(function).orElseThrow();
  }

  private Captures captures(NodeDef node, Optional<FlatGraph.Call> call) {
    if (!node.getOp().equals("IdentityN")) {
      return Captures.none("its gradient is replaced by one named " + type(node));
    }
    String function = functionOfType.getOrDefault(type(node), "");
    if (model.functions().find(function).isEmpty()
        || objects.concreteFunction(function).isEmpty()) {
      return Captures.none(UNSAVED);
    }
    List<String> references = new ArrayList<>();
    for (int number : concrete(function).getBoundInputsList()) {
      reference(number, call).ifPresent(references::add);
    }
    return references.size() == concrete(function).getBoundInputsCount()
        ? new Captures(references, Optional.empty())
        : Captures.none("its custom gradient captures a tensor that cannot be found");
  }

  private Optional<String> reference(int number, Optional<FlatGraph.Call> call) {
    Optional<SavedObject> object = objects.object(number).filter(SavedObject::hasCapturedTensor);
    if (object.isEmpty()) {
      return objects.tensor(number);
    }
    var captured = object.get().getCapturedTensor();
    Optional<FlatGraph.Call> owner = call;
    while (owner.isPresent() && !owner.get().function().equals(captured.getConcreteFunction())) {
      owner = owner.get().caller();
    }
    return owner.map(c -> c.tensor(captured.getName()));
  }

  private FunctionGraph flatten(String function) {
    return flattened.computeIfAbsent(
        function,
        name -> {
          OpDef signature = model.functions().find(name).orElseThrow().getSignature();
          return FunctionGraph.of(
              model.metaGraph().getGraphDef().getLibrary(),
              GraphProtos.function(name).getFunc(),
              signature.getInputArgList().stream().map(OpDef.ArgDef::getType).toList(),
              Map.of(),
              (node, call) -> List.of());
        });
  }

  /**
   * Writes a gradient function into a graph op by op. Inside a gradient callback the graph is
   * locked: importing a GraphDef, adding gradients or looking up operations would never return.
   */
  private static final class Replay implements LossGradients.Capturing {
    private final GraphIndex index;
    private final List<String> results; // null where there is no gradient
    private final List<Output<?>> captured;
    private final UnaryOperator<Output<?>> copies;

    Replay(FunctionGraph function, SavedConcreteFunction concrete, List<Output<?>> captured) {
      this(
          new GraphIndex(function.flat().graph().getNodeList()),
          new ArrayList<>(),
          captured,
          UnaryOperator.identity());
      int next = 0;
      for (var gradient : gradients(concrete)) {
        results.add(gradient.hasNoneValue() ? null : function.results().get(next++));
      }
    }

    private Replay(
        GraphIndex index,
        List<String> results,
        List<Output<?>> captured,
        UnaryOperator<Output<?>> copies) {
      this.index = index;
      this.results = results;
      this.captured = captured;
      this.copies = copies;
    }

    @Override
    public RawCustomGradient over(UnaryOperator<Output<?>> others) {
      return new Replay(index, results, captured, others);
    }

    @Override
    public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
      Map<String, Output<?>> tensors = new HashMap<>();
      gradients.forEach(gradient -> tensors.put(FunctionGraph.argument(tensors.size()), gradient));
      for (Output<?> capture : captured) {
        tensors.put(FunctionGraph.argument(tensors.size()), copies.apply(capture));
      }
      List<Operand<?>> perInput = new ArrayList<>();
      for (int i = 0; i < node.numOutputs(); i++) {
        String result = i < results.size() ? results.get(i) : null;
        if (result == null) {
          perInput.add(null);
        } else {
          build(TensorNames.node(result), tf, tensors);
          perInput.add(tensors.get(result));
        }
      }
      return perInput;
    }

    /** Builds a node after everything it needs, without recursion: gradients can be deep. */
    private void build(String wanted, Ops tf, Map<String, Output<?>> tensors) {
      var todo = new ArrayDeque<>(List.of(wanted));
      while (!todo.isEmpty()) {
        String name = todo.peek();
        if (tensors.containsKey(name)) {
          todo.pop();
          continue;
        }
        NodeDef node = index.require(name, "a custom gradient");
        var inputs = GraphIndex.dataInputs(node).stream().map(TensorNames::node);
        List<String> missing = inputs.filter(input -> !tensors.containsKey(input)).toList();
        if (missing.isEmpty()) {
          write(node, tf, tensors);
          todo.pop();
        } else {
          missing.forEach(todo::push);
        }
      }
    }

    private static void write(NodeDef node, Ops tf, Map<String, Output<?>> tensors) {
      var operation = NodeCopies.write(node, tf, tensors::get);
      for (int i = 0; i < operation.numOutputs(); i++) {
        tensors.put(TensorNames.of(node.getName(), i), operation.output(i));
      }
      boolean hasResult = operation.numOutputs() > 0;
      require(hasResult, "a custom gradient uses the result of %s", node.getOp());
    }
  }
}
