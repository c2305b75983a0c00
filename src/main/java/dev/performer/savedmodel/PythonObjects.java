package dev.performer.savedmodel;

import dev.performer.graph.GraphProtos;
import dev.performer.graph.Tensors;
import dev.performer.graph.TracedFunction;
import dev.performer.graph.TracedFunction.ArgumentSpec;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedConcreteFunction;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObject;
import org.tensorflow.proto.SavedObjectGraphOuterClass.SavedObjectGraph;
import org.tensorflow.proto.Struct.NoneValue;
import org.tensorflow.proto.Struct.StructuredValue;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject;
import org.tensorflow.proto.TrackableObjectGraphOuterClass.TrackableObjectGraph.TrackableObject.ObjectReference;

/**
 * The Python objects that a SavedModel is: what {@code tf.saved_model.load} makes of it. A variable
 * {@code layer_0/attention/query} becomes {@code model.layer_0.attention.query}; children named 0,
 * 1, 2, … become a list. Lists of variables, the map {@code signatures} and the function {@code
 * __call__} stand at the root.
 */
final class PythonObjects {
  private static final String USER_OBJECT = "_generic_user_object";
  private static final String LIST = "trackable_list_wrapper";
  private static final Set<String> RESERVED =
      Set.of(
          """
          variables trainable_variables non_trainable_variables signatures __call__ asset_paths
          initializer restore graph_debug_info tensorflow_version tensorflow_git_version
          """
              .split("\\s+"));

  private record Node(
      int id,
      SavedObject.Builder saved,
      TrackableObject.Builder tracked,
      Map<String, Node> children) {}

  private final List<Node> nodes = new ArrayList<>();
  private final Map<Variable, Node> variableNodes = new LinkedHashMap<>();
  private final Map<String, SavedConcreteFunction> functions = new TreeMap<>();
  private final Node root = userObject(USER_OBJECT);
  private final Node signatures;

  PythonObjects(List<Variable> variables) {
    variables.forEach(this::place);
    addList("variables", variables.stream());
    addList("trainable_variables", variables.stream().filter(Variable::trainable));
    addList("non_trainable_variables", variables.stream().filter(v -> !v.trainable()));
    signatures = userObject("signature_map");
    root.children().put("signatures", signatures);
  }

  private Node add(SavedObject.Builder saved) {
    var node = new Node(nodes.size(), saved, TrackableObject.newBuilder(), new LinkedHashMap<>());
    nodes.add(node);
    return node;
  }

  private Node userObject(String identifier) {
    SavedObject.Builder saved = SavedObject.newBuilder();
    var object = saved.getUserObjectBuilder().setIdentifier(identifier);
    object.getVersionBuilder().setProducer(1).setMinConsumer(1);
    return add(saved);
  }

  private void addList(String name, Stream<Variable> variables) {
    Node list = userObject(LIST);
    root.children().put(name, list);
    var items = list.children();
    variables.forEach(v -> items.put(String.valueOf(items.size()), variableNodes.get(v)));
  }

  private void place(Variable variable) {
    List<String> path = path(variable.name());
    int last = path.size() - 1;
    Node parent = root;
    for (String name : path.subList(0, last)) {
      parent = parent.children().computeIfAbsent(name, n -> userObject(USER_OBJECT));
    }
    String name = scopeName(variable.name());
    SavedObject.Builder saved = SavedObject.newBuilder();
    var known = saved.getVariableBuilder().setName(name).setTrainable(variable.trainable());
    known.setDtype(Tensors.dataType(variable.type()));
    known.setShape(GraphProtos.shape(variable.shape()));
    Node node = add(saved);
    parent.children().put(path.get(last), node);
    // As Python's trackable_utils escapes names.
    String key = Variables.checkpointKey(String.join("/", path).replace(".", ".."));
    var value = node.tracked().addAttributesBuilder().setName("VARIABLE_VALUE");
    value.setFullName(name).setCheckpointKey(key);
    variableNodes.put(variable, node);
  }

  /** Python saves a variable again only if its name is a legal scope: none may begin with "_". */
  private static String scopeName(String name) {
    String legal = name.replaceAll("[^A-Za-z0-9_./>-]", "_");
    return legal.matches("[A-Za-z0-9.].*") ? legal : "v" + legal;
  }

  /** The attributes that lead to a variable, or a single one where its path is taken. */
  private List<String> path(String variableName) {
    List<String> path = new ArrayList<>(List.of(variableName.split("/")));
    path.removeIf(String::isEmpty);
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
    while (root.children().containsKey(flat) || RESERVED.contains(flat)) {
      flat += "_";
    }
    return List.of(flat);
  }

  private boolean isFree(List<String> path) {
    Node node = root;
    for (int i = 0; i < path.size() && node != null && !node.saved().hasVariable(); i++) {
      node = node.children().get(path.get(i));
    }
    return node == null;
  }

  /** Its name in Python; two variables may share one. */
  String name(Variable variable) {
    return variableNodes.get(variable).saved().getVariable().getName();
  }

  String key(Variable variable) {
    return variableNodes.get(variable).tracked().getAttributes(0).getCheckpointKey();
  }

  void addSignature(String key, String name, TracedFunction function) {
    Map<String, StructuredValue> keywords = specs(function.inputs());
    var none = StructuredValues.tuple(List.of());
    addFunction(name, function, none, StructuredValues.dict(keywords));
    SavedObject.Builder saved = SavedObject.newBuilder();
    var bare = saved.getBareConcreteFunctionBuilder().setConcreteFunctionName(name);
    bare.addAllArgumentKeywords(keywords.keySet());
    bare.setAllowedPositionalArguments(keywords.size() == 1 ? 1 : 0);
    signatures.children().put(key, add(saved));
  }

  /** Adds {@code __call__}; it takes the inputs as positional arguments in their order. */
  void addCall(String name, TracedFunction function) {
    List<ArgumentSpec> inputs = function.inputs();
    StructuredValue arguments =
        StructuredValues.tuple(inputs.stream().map(StructuredValues::spec).toList());
    addFunction(name, function, arguments, StructuredValues.dict(Map.of()));
    List<String> names = inputs.stream().map(ArgumentSpec::name).toList();
    SavedObject.Builder saved = SavedObject.newBuilder();
    var spec = saved.getFunctionBuilder().addConcreteFunctions(name).getFunctionSpecBuilder();
    spec.setFullargspec(StructuredValues.fullArgSpec(names)).setInputSignature(arguments);
    root.children().put("__call__", add(saved));
  }

  private void addFunction(
      String name, TracedFunction function, StructuredValue positional, StructuredValue keywords) {
    var concrete = SavedConcreteFunction.newBuilder();
    function.captured().forEach(v -> concrete.addBoundInputs(variableNodes.get(v).id()));
    concrete.setCanonicalizedInputSignature(StructuredValues.tuple(List.of(positional, keywords)));
    concrete.setOutputSignature(StructuredValues.dict(specs(function.outputs())));
    functions.put(name, concrete.build());
  }

  private static Map<String, StructuredValue> specs(List<ArgumentSpec> tensors) {
    Map<String, StructuredValue> specs = new LinkedHashMap<>();
    tensors.forEach(tensor -> specs.put(tensor.name(), StructuredValues.spec(tensor)));
    return specs;
  }

  SavedObjectGraph saved() {
    SavedObjectGraph.Builder graph = SavedObjectGraph.newBuilder();
    for (Node node : nodes) {
      SavedObject.Builder saved = node.saved().clone();
      if (isList(node)) {
        saved.getUserObjectBuilder().setIdentifier(LIST);
      }
      graph.addNodes(saved.addAllChildren(children(node)));
    }
    return graph.putAllConcreteFunctions(functions).build();
  }

  TrackableObjectGraph trackable() {
    TrackableObjectGraph.Builder graph = TrackableObjectGraph.newBuilder();
    nodes.forEach(n -> graph.addNodes(n.tracked().clone().addAllChildren(children(n))));
    return graph.build();
  }

  private boolean isList(Node node) {
    String identifier = node.saved().getUserObject().getIdentifier();
    var names = node.children().keySet();
    boolean isNumbered = !names.isEmpty() && names.containsAll(numbers(names.size()));
    return identifier.equals(LIST) || node != root && identifier.equals(USER_OBJECT) && isNumbered;
  }

  private static List<String> numbers(int count) {
    return IntStream.range(0, count).mapToObj(String::valueOf).toList();
  }

  /** Those of a list in order. */
  private List<ObjectReference> children(Node node) {
    List<ObjectReference> children = new ArrayList<>();
    for (var name : isList(node) ? numbers(node.children().size()) : node.children().keySet()) {
      int id = node.children().get(name).id();
      children.add(ObjectReference.newBuilder().setLocalName(name).setNodeId(id).build());
    }
    return children;
  }

  private static final class StructuredValues {
    private static final StructuredValue NONE =
        StructuredValue.newBuilder().setNoneValue(NoneValue.getDefaultInstance()).build();

    static StructuredValue tuple(Collection<StructuredValue> values) {
      var value = StructuredValue.newBuilder();
      value.getTupleValueBuilder().addAllValues(values);
      return value.build();
    }

    private static StructuredValue list(Collection<String> strings) {
      var value = StructuredValue.newBuilder();
      var list = value.getListValueBuilder();
      strings.forEach(string -> list.addValuesBuilder().setStringValue(string));
      return value.build();
    }

    static StructuredValue dict(Map<String, StructuredValue> values) {
      var value = StructuredValue.newBuilder();
      value.getDictValueBuilder().putAllFields(values);
      return value.build();
    }

    static StructuredValue spec(ArgumentSpec spec) {
      var value = StructuredValue.newBuilder();
      var tensor = value.getTensorSpecValueBuilder().setName(spec.name());
      tensor.setShape(GraphProtos.shape(spec.shape())).setDtype(spec.dataType());
      return value.build();
    }

    /** {@code inspect.FullArgSpec} of a function with these positional arguments and no others. */
    static StructuredValue fullArgSpec(List<String> arguments) {
      Map<String, StructuredValue> fields = new LinkedHashMap<>();
      fields.put("args", list(arguments));
      fields.put("varargs", NONE);
      fields.put("varkw", NONE);
      fields.put("defaults", NONE);
      fields.put("kwonlyargs", list(List.of()));
      fields.put("kwonlydefaults", NONE);
      fields.put("annotations", dict(Map.of()));
      var value = StructuredValue.newBuilder();
      var tuple = value.getNamedTupleValueBuilder().setName("FullArgSpec");
      fields.forEach((key, field) -> tuple.addValuesBuilder().setKey(key).setValue(field));
      return value.build();
    }
  }
}
