package dev.performer.savedmodel;

import dev.performer.graph.FunctionLibrary;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.Variables;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.BinaryOperator;
import java.util.stream.Stream;
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
  private static final String VALUE = Variables.checkpointKey("");
  private static final Set<String> LISTS =
      Set.of("variables", "trainable_variables", "non_trainable_variables", "_all_variables");
  private static final SavedVariable NOTHING_KNOWN = SavedVariable.getDefaultInstance();

  private final SavedObjectGraph graph;
  private final Map<Integer, String> tensorOfObject = new HashMap<>();
  private final Map<String, Integer> objectOfTensor = new HashMap<>();
  private final Map<String, SavedVariable> variableByName = new HashMap<>();
  private final Map<Integer, String> paths;

  ObjectGraph(MetaGraphDef metaGraph) {
    graph = metaGraph.getObjectGraphDef();
    paths = paths();
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

  /** A variable's object, by what functions captured or else by the path that stores it. */
  OptionalInt variableObject(String node, String checkpointKey) {
    return Stream.of(Optional.ofNullable(objectOfTensor.get(node)), stored(checkpointKey))
        .flatMap(Optional::stream)
        .filter(number -> object(number).filter(SavedObject::hasVariable).isPresent())
        .mapToInt(Integer::intValue)
        .findFirst();
  }

  /** By its object, if it is known, or else by the name that the graph has for it. */
  Optional<SavedVariable> variable(OptionalInt object, String sharedName) {
    return object.isPresent()
        ? object(object.getAsInt()).map(SavedObject::getVariable)
        : byName(sharedName)
            .or(() -> byName(sharedName.replaceFirst("_\\d+$", ""))); // Python numbers equal names
  }

  /** Where a key of {@code variables/} leads: Python writes paths of attributes, escaped. */
  private Optional<Integer> stored(String key) {
    if (graph.getNodesCount() == 0 || !key.endsWith(VALUE)) {
      return Optional.empty();
    }
    int object = 0;
    for (String part : key.substring(0, key.length() - VALUE.length()).split("/")) {
      String name = part.replace(".S", "/").replace("..", ".");
      var children = graph.getNodes(object).getChildrenList().stream();
      var child = children.filter(c -> c.getLocalName().equals(name)).findFirst();
      if (child.isEmpty() || child.get().getNodeId() >= graph.getNodesCount()) {
        return Optional.empty();
      }
      object = child.get().getNodeId();
    }
    return Optional.of(object);
  }

  /** The shortest way from the root to an object, if there is one not through a list of all. */
  Optional<String> path(int object) {
    return Optional.ofNullable(paths.get(object));
  }

  private Map<Integer, String> paths() {
    Map<Integer, String> found = new HashMap<>();
    var next = new ArrayDeque<Integer>(List.of(0));
    while (!next.isEmpty()) {
      int parent = next.remove();
      var children = object(parent).map(SavedObject::getChildrenList).orElse(List.of());
      for (var child : children) {
        String path = (parent == 0 ? "" : found.get(parent) + "/") + child.getLocalName();
        boolean isNew = child.getNodeId() != 0 && !LISTS.contains(child.getLocalName());
        if (isNew && found.putIfAbsent(child.getNodeId(), path) == null) {
          next.add(child.getNodeId());
        }
      }
    }
    return found;
  }

  private Optional<SavedVariable> byName(String name) {
    return Optional.ofNullable(variableByName.get(name))
        .filter(variable -> !variable.getName().isEmpty());
  }

  Optional<SavedConcreteFunction> concreteFunction(String name) {
    return Optional.ofNullable(graph.getConcreteFunctionsMap().get(name));
  }
}
