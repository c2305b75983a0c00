package dev.performer.savedmodel;

import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionCall;
import dev.performer.graph.FunctionLibrary;
import dev.performer.graph.IdentityGradients;
import dev.performer.graph.TensorNames;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.RegisteredGradient;
import org.tensorflow.proto.SavedObjectGraphOuterClass.CapturedTensor;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedConcreteFunction;

/**
 * Python's {@code tf.custom_gradient} in a SavedModel: an {@code IdentityN} whose gradient is a
 * function of the library, which captures tensors of the forward pass.
 */
final class CustomGradients {
  private static final String TYPE = "_gradient_op_type";

  private final MetaGraphDef metaGraph;
  private final ObjectGraph objects;
  private final FunctionLibrary library;
  private final Map<String, String> functionOfType = new HashMap<>();
  private final Map<String, FlatGraph> flattened = new HashMap<>();

  /** What the gradient function of a node needs, or why it cannot be had. */
  private record Captures(List<String> references, Optional<String> trouble) {
    static Captures none(String trouble) {
      return new Captures(List.of(), Optional.of(trouble));
    }
  }

  CustomGradients(MetaGraphDef metaGraph, ObjectGraph objects) {
    this.metaGraph = metaGraph;
    this.objects = objects;
    library = new FunctionLibrary(metaGraph.getGraphDef().getLibrary());
    for (RegisteredGradient gradient :
        metaGraph.getGraphDef().getLibrary().getRegisteredGradientsList()) {
      functionOfType.put(gradient.getRegisteredOpType(), gradient.getGradientFunc());
    }
  }

  /** What pruning must keep for a node's gradient. */
  List<String> alsoNeeded(NodeDef node, Optional<FunctionCall> call) {
    return isCustom(node) ? captures(node, call).references() : List.of();
  }

  /** Why the gradient of a node cannot be had, if so. */
  Optional<String> obstacle(NodeDef node, Optional<FunctionCall> call) {
    return isCustom(node) ? captures(node, call).trouble() : Optional.empty();
  }

  /** Gives the nodes of an imported graph their gradients; before any gradient is added. */
  void attach(Graph graph, FlatGraph flat) {
    for (NodeDef node : flat.graph().getNodeList()) {
      if (!isCustom(node) || !node.getOp().equals("IdentityN")) {
        continue;
      }
      Captures captures = captures(node, flat.callOf(node.getName()));
      if (captures.trouble().isPresent()) {
        continue;
      }
      List<Output<?>> captured = new ArrayList<>();
      for (String reference : captures.references()) {
        String tensor = flat.resolve(reference);
        captured.add(
            graph.operationOrThrow(TensorNames.node(tensor)).output(TensorNames.index(tensor)));
      }
      String function = functionOfType.get(type(node));
      IdentityGradients.attach(
          graph,
          node.getName(),
          new GradientReplay(flatten(function), concrete(function), captured));
    }
  }

  private static boolean isCustom(NodeDef node) {
    return node.containsAttr(TYPE);
  }

  private static String type(NodeDef node) {
    return node.getAttrOrThrow(TYPE).getS().toStringUtf8();
  }

  /** A gradient function without calls, as ops are added to a graph. */
  private FlatGraph flatten(String function) {
    return flattened.computeIfAbsent(
        function, name -> GradientReplay.flatten(metaGraph, library.find(name).orElseThrow()));
  }

  private SavedConcreteFunction concrete(String function) {
    return objects.concreteFunction(function).orElseThrow();
  }

  private Captures captures(NodeDef node, Optional<FunctionCall> call) {
    if (!node.getOp().equals("IdentityN")) {
      return Captures.none("its gradient is replaced by one named " + type(node));
    }
    String function = functionOfType.get(type(node));
    boolean known =
        function != null
            && library.find(function).isPresent()
            && objects.concreteFunction(function).isPresent();
    if (!known) {
      return Captures.none(
          "it has a custom gradient that was not saved; save the model with"
              + " SaveOptions(experimental_custom_gradients=True)");
    }
    if (flatten(function).graph().getLibrary().getFunctionCount() > 0) {
      return Captures.none("its custom gradient has loops or branches on a tensor");
    }
    List<String> references = new ArrayList<>();
    for (int number : concrete(function).getBoundInputsList()) {
      Optional<String> reference = reference(number, call);
      if (reference.isEmpty()) {
        return Captures.none("its custom gradient captures a tensor that cannot be found");
      }
      references.add(reference.get());
    }
    return new Captures(references, Optional.empty());
  }

  private Optional<String> reference(int number, Optional<FunctionCall> call) {
    Optional<CapturedTensor> captured =
        objects
            .object(number)
            .filter(object -> object.hasCapturedTensor())
            .map(object -> object.getCapturedTensor());
    if (captured.isEmpty()) {
      return objects.tensor(number);
    }
    Optional<FunctionCall> owner = call;
    while (owner.isPresent()
        && !owner.get().function().equals(captured.get().getConcreteFunction())) {
      owner = owner.get().caller();
    }
    return owner.map(c -> c.tensor(captured.get().getName()));
  }
}
