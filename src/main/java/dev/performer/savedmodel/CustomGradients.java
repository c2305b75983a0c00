package dev.performer.savedmodel;

import dev.performer.graph.FlatGraph;
import dev.performer.graph.LossGradients;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedConcreteFunction;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObject;

/**
 * Python's {@code tf.custom_gradient} in a SavedModel: an {@code IdentityN} whose gradient is a
 * function of the library, which captures tensors of the forward pass.
 */
final class CustomGradients {
  private static final String TYPE = "_gradient_op_type";

  private final SavedModelDirectory model;
  private final ObjectGraph objects;
  private final Map<String, String> functionOfType = new HashMap<>();
  private final Map<String, FlatGraph> flattened = new HashMap<>();

  /** What the gradient function of a node needs, or why it cannot be had. */
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

  /** What pruning must keep for a node's gradient. */
  List<String> alsoNeeded(NodeDef node, Optional<FlatGraph.Call> call) {
    return isCustom(node) ? captures(node, call).references() : List.of();
  }

  /** Why the gradient of a node cannot be had, if so. */
  Optional<String> obstacle(NodeDef node, Optional<FlatGraph.Call> call) {
    return isCustom(node) ? captures(node, call).trouble() : Optional.empty();
  }

  /** Gives the nodes of an imported graph their gradients; before any gradient is added. */
  void attach(Graph graph, FlatGraph flat) {
    for (NodeDef node : flat.graph().getNodeList()) {
      if (!isCustom(node) || !node.getOp().equals("IdentityN")) {
        continue;
      }
      Captures captures = captures(node, flat.callOf(node.getName()));
      if (captures.trouble().isEmpty()) {
        List<Output<?>> captured = new ArrayList<>();
        captures.references().forEach(r -> captured.add(graph.outputOrThrow(flat.resolve(r))));
        String function = functionOfType.get(type(node));
        var replay = new GradientReplay(flatten(function), concrete(function), captured);
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

  /** A gradient function without calls, as ops are added to a graph. */
  private FlatGraph flatten(String function) {
    FunctionDef definition = model.functions().find(function).orElseThrow();
    return flattened.computeIfAbsent(
        function, name -> GradientReplay.flatten(model.metaGraph(), definition));
  }

  private SavedConcreteFunction concrete(String function) {
    return objects.concreteFunction(function).orElseThrow();
  }

  private Captures captures(NodeDef node, Optional<FlatGraph.Call> call) {
    if (!node.getOp().equals("IdentityN")) {
      return Captures.none("its gradient is replaced by one named " + type(node));
    }
    String function = functionOfType.get(type(node));
    boolean known =
        function != null
            && model.functions().find(function).isPresent()
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
}
