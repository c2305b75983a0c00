package dev.performer.savedmodel;

import dev.performer.graph.FunctionLibrary;
import dev.performer.graph.GraphIndex;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BinaryOperator;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedConcreteFunction;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObject;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObjectGraph;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedVariable;

/**
 * Python's objects in a TF2 SavedModel and where the graph has them: what a function captured comes
 * after its arguments wherever the main graph calls it.
 */
final class ObjectGraph {
  private static final SavedVariable NOTHING_KNOWN = SavedVariable.getDefaultInstance();

  private final SavedObjectGraph graph;
  private final Map<Integer, String> tensorOfObject = new HashMap<>();
  private final Map<String, Integer> objectOfTensor = new HashMap<>();
  private final Map<String, SavedVariable> variableByName = new HashMap<>();

  ObjectGraph(MetaGraphDef metaGraph) {
    graph = metaGraph.getObjectGraphDef();
    for (NodeDef node : metaGraph.getGraphDef().getNodeList()) {
      FunctionLibrary.attributeFunctions(node).forEach(function -> bind(node, function));
    }
    tensorOfObject.forEach((object, tensor) -> objectOfTensor.put(tensor, object));
    // Two variables may share a name: then only what is true of both is known.
    BinaryOperator<SavedVariable> both =
        (a, b) -> a.getTrainable() == b.getTrainable() ? a : NOTHING_KNOWN;
    for (SavedObject object : graph.getNodesList()) {
      if (object.hasVariable()) {
        variableByName.merge(object.getVariable().getName(), object.getVariable(), both);
      }
    }
  }

  private void bind(NodeDef call, String function) {
    List<Integer> captured =
        concreteFunction(function).map(SavedConcreteFunction::getBoundInputsList).orElse(List.of());
    List<String> inputs = GraphIndex.dataInputs(call);
    int first = inputs.size() - captured.size();
    for (int i = 0; i < captured.size() && first >= 0; i++) {
      tensorOfObject.put(captured.get(i), inputs.get(first + i));
    }
  }

  Optional<String> tensor(int object) {
    return Optional.ofNullable(tensorOfObject.get(object));
  }

  Optional<SavedObject> object(int number) {
    boolean isThere = number >= 0 && number < graph.getNodesCount();
    return isThere ? Optional.of(graph.getNodes(number)) : Optional.empty();
  }

  Optional<SavedVariable> variable(String node, String sharedName) {
    return Optional.ofNullable(objectOfTensor.get(node))
        .flatMap(this::object)
        .filter(SavedObject::hasVariable)
        .map(SavedObject::getVariable)
        .or(() -> byName(sharedName))
        .or(() -> byName(sharedName.replaceFirst("_\\d+$", ""))); // Python numbers equal names
  }

  private Optional<SavedVariable> byName(String name) {
    return Optional.ofNullable(variableByName.get(name))
        .filter(variable -> !variable.getName().isEmpty());
  }

  Optional<SavedConcreteFunction> concreteFunction(String name) {
    return Optional.ofNullable(graph.getConcreteFunctionsMap().get(name));
  }
}
