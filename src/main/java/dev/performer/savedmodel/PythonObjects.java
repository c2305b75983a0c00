package dev.performer.savedmodel;

import dev.performer.graph.ArgumentSpec;
import dev.performer.graph.DataTypes;
import dev.performer.graph.NodeBuilders;
import dev.performer.graph.TracedFunction;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.tensorflow.proto.SavedObjectGraphOuterClass.FunctionSpec;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedBareConcreteFunction;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedConcreteFunction;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedFunction;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObject;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObjectGraph;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedUserObject;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedVariable;
import org.tensorflow.proto.Struct.StructuredValue;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject;
import org.tensorflow.proto.VersionDef;

/**
 * The Python objects that a SavedModel is: what {@code tf.saved_model.load} makes of it.
 *
 * <p>A variable {@code layer_0/attention/query} becomes {@code model.layer_0.attention.query};
 * children named 0, 1, 2, … become a list. The lists {@code variables}, {@code trainable_variables}
 * and {@code non_trainable_variables}, the map {@code signatures} and the function {@code __call__}
 * stand at the root.
 */
final class PythonObjects {
  private static final String USER_OBJECT = "_generic_user_object";
  private static final String LIST = "trackable_list_wrapper";
  private static final Set<String> RESERVED =
      Set.of(
          "variables",
          "trainable_variables",
          "non_trainable_variables",
          "signatures",
          "__call__",
          "asset_paths",
          "initializer",
          "restore",
          "graph_debug_info",
          "tensorflow_version",
          "tensorflow_git_version");
  private static final VersionDef VERSION =
      VersionDef.newBuilder().setProducer(1).setMinConsumer(1).build();

  private static final class Node {
    final SavedObject.Builder saved = SavedObject.newBuilder();
    final TrackableObject.Builder tracked = TrackableObject.newBuilder();
    final Map<String, Integer> children = new LinkedHashMap<>();
  }

  private final List<Node> nodes = new ArrayList<>();
  private final Map<Variable, Integer> variableNodes = new LinkedHashMap<>();
  private final Map<Variable, String> keys = new LinkedHashMap<>();
  private final Map<String, SavedConcreteFunction> functions = new TreeMap<>();
  private final int signatures;

  PythonObjects(List<Variable> variables) {
    int root = userObject(USER_OBJECT);
    variables.forEach(this::place);
    link(root, "variables", variableList(variables));
    link(
        root,
        "trainable_variables",
        variableList(variables.stream().filter(Variable::trainable).toList()));
    link(
        root,
        "non_trainable_variables",
        variableList(variables.stream().filter(variable -> !variable.trainable()).toList()));
    signatures = userObject("signature_map");
    link(root, "signatures", signatures);
  }

  private int userObject(String identifier) {
    Node node = new Node();
    node.saved.setUserObject(
        SavedUserObject.newBuilder().setIdentifier(identifier).setVersion(VERSION));
    return add(node);
  }

  private int add(Node node) {
    nodes.add(node);
    return nodes.size() - 1;
  }

  private void link(int parent, String name, int child) {
    nodes.get(parent).children.put(name, child);
  }

  private int variableList(List<Variable> variables) {
    int list = userObject(LIST);
    for (Variable variable : variables) {
      link(list, String.valueOf(nodes.get(list).children.size()), variableNodes.get(variable));
    }
    return list;
  }

  private void place(Variable variable) {
    List<String> path = path(variable.name());
    int parent = 0;
    for (String name : path.subList(0, path.size() - 1)) {
      Integer child = nodes.get(parent).children.get(name);
      if (child == null) {
        child = userObject(USER_OBJECT);
        link(parent, name, child);
      }
      parent = child;
    }
    Node node = new Node();
    nodes.add(node);
    link(parent, path.get(path.size() - 1), nodes.size() - 1);
    node.saved.setVariable(
        SavedVariable.newBuilder()
            .setName(scopeName(variable.name()))
            .setDtype(DataTypes.of(variable.type()))
            .setShape(NodeBuilders.shape(variable.shape()))
            .setTrainable(variable.trainable()));
    String key = key(path);
    node.tracked
        .addAttributesBuilder()
        .setName("VARIABLE_VALUE")
        .setFullName(scopeName(variable.name()))
        .setCheckpointKey(key);
    variableNodes.put(variable, nodes.size() - 1);
    keys.put(variable, key);
  }

  /**
   * Python saves a variable again only if its name is a legal scope, so none may begin with "_".
   */
  private static String scopeName(String name) {
    String legal = name.replaceAll("[^A-Za-z0-9_./>-]", "_");
    return legal.matches("[A-Za-z0-9.].*") ? legal : "v" + legal;
  }

  /** The attributes that lead to a variable, or a single one where its path is taken. */
  private List<String> path(String variableName) {
    List<String> path =
        new ArrayList<>(
            Arrays.stream(variableName.split("/")).filter(name -> !name.isEmpty()).toList());
    if (path.isEmpty()) {
      throw new IllegalArgumentException("a variable has no name");
    }
    if (RESERVED.contains(path.get(0))) {
      path.set(0, path.get(0) + "_");
    }
    if (isFree(path)) {
      return path;
    }
    String flat = String.join("_", path);
    while (nodes.get(0).children.containsKey(flat) || RESERVED.contains(flat)) {
      flat += "_";
    }
    return List.of(flat);
  }

  private boolean isFree(List<String> path) {
    int parent = 0;
    for (int i = 0; i < path.size(); i++) {
      Integer child = nodes.get(parent).children.get(path.get(i));
      if (child == null) {
        return true;
      }
      if (i == path.size() - 1 || nodes.get(child).saved.hasVariable()) {
        return false;
      }
      parent = child;
    }
    return false;
  }

  /** As Python's {@code trackable_utils} escapes names. */
  private static String key(List<String> path) {
    List<String> escaped = path.stream().map(name -> name.replace(".", "..")).toList();
    return String.join("/", escaped) + "/.ATTRIBUTES/VARIABLE_VALUE";
  }

  /** The checkpoint key of a variable. */
  String key(Variable variable) {
    return keys.get(variable);
  }

  /** Adds a function of the map {@code signatures}; it takes keyword arguments. */
  void addSignature(String key, String name, TracedFunction function) {
    Map<String, StructuredValue> keywords = specs(function.inputs());
    addFunction(name, function, StructuredValues.tuple(List.of()), keywords);
    Node node = new Node();
    node.saved.setBareConcreteFunction(
        SavedBareConcreteFunction.newBuilder()
            .setConcreteFunctionName(name)
            .addAllArgumentKeywords(keywords.keySet())
            .setAllowedPositionalArguments(keywords.size() == 1 ? 1 : 0));
    link(signatures, key, add(node));
  }

  /** Adds {@code __call__}; it takes the inputs as positional arguments in their order. */
  void addCall(String name, TracedFunction function) {
    List<ArgumentSpec> inputs = function.inputs();
    StructuredValue arguments =
        StructuredValues.tuple(inputs.stream().map(StructuredValues::spec).toList());
    addFunction(name, function, arguments, Map.of());
    Node node = new Node();
    node.saved.setFunction(
        SavedFunction.newBuilder()
            .addConcreteFunctions(name)
            .setFunctionSpec(
                FunctionSpec.newBuilder()
                    .setFullargspec(
                        StructuredValues.fullArgSpec(
                            inputs.stream().map(ArgumentSpec::name).toList()))
                    .setIsMethod(false)
                    .setInputSignature(arguments)));
    link(0, "__call__", add(node));
  }

  private void addFunction(
      String name,
      TracedFunction function,
      StructuredValue positional,
      Map<String, StructuredValue> keywords) {
    functions.put(
        name,
        SavedConcreteFunction.newBuilder()
            .addAllBoundInputs(function.captured().stream().map(variableNodes::get).toList())
            .setCanonicalizedInputSignature(
                StructuredValues.tuple(List.of(positional, StructuredValues.dict(keywords))))
            .setOutputSignature(StructuredValues.dict(specs(function.outputs())))
            .build());
  }

  private static Map<String, StructuredValue> specs(List<ArgumentSpec> tensors) {
    Map<String, StructuredValue> specs = new LinkedHashMap<>();
    tensors.forEach(tensor -> specs.put(tensor.name(), StructuredValues.spec(tensor)));
    return specs;
  }

  /** For {@code saved_model.pb}. */
  SavedObjectGraph saved() {
    SavedObjectGraph.Builder graph = SavedObjectGraph.newBuilder();
    for (Node node : nodes) {
      SavedObject.Builder saved = node.saved.clone();
      if (isList(node)) {
        saved.getUserObjectBuilder().setIdentifier(LIST);
      }
      children(node)
          .forEach((name, id) -> saved.addChildrenBuilder().setLocalName(name).setNodeId(id));
      graph.addNodes(saved);
    }
    return graph.putAllConcreteFunctions(functions).build();
  }

  /** For the checkpoint. */
  TrackableObjectGraph trackable() {
    TrackableObjectGraph.Builder graph = TrackableObjectGraph.newBuilder();
    for (Node node : nodes) {
      TrackableObject.Builder tracked = node.tracked.clone();
      children(node)
          .forEach((name, id) -> tracked.addChildrenBuilder().setLocalName(name).setNodeId(id));
      graph.addNodes(tracked);
    }
    return graph.build();
  }

  private boolean isList(Node node) {
    String identifier = node.saved.getUserObject().getIdentifier();
    if (identifier.equals(LIST)) {
      return true;
    }
    if (node == nodes.get(0) || node.children.isEmpty() || !identifier.equals(USER_OBJECT)) {
      return false;
    }
    for (int i = 0; i < node.children.size(); i++) {
      if (!node.children.containsKey(String.valueOf(i))) {
        return false;
      }
    }
    return true;
  }

  private Map<String, Integer> children(Node node) {
    if (!isList(node)) {
      return node.children;
    }
    Map<String, Integer> inOrder = new LinkedHashMap<>();
    for (int i = 0; i < node.children.size(); i++) {
      inOrder.put(String.valueOf(i), node.children.get(String.valueOf(i)));
    }
    return inOrder;
  }
}
