package dev.performer.savedmodel;

import static dev.performer.graph.CheckpointReader.OBJECT_GRAPH_KEY;

import com.google.protobuf.ByteString;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.TracedFunction;
import dev.performer.graph.TracedFunction.ArgumentSpec;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.savedmodel.SavedModelExporter.ExportedSignature;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.TensorFlow;
import org.tensorflow.ndarray.NdArrays;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedModel;
import org.tensorflow.proto.SignatureDef;
import org.tensorflow.proto.TensorInfo;
import org.tensorflow.types.TString;

/**
 * The main graph of a SavedModel under construction: variable handles, one call per signature, and
 * the ops that save and restore. It is written down and never run.
 */
final class ExportGraph implements AutoCloseable {
  private final Graph graph = new Graph();
  private final Ops tf = Ops.create(graph);
  private final PythonObjects objects;
  private final Map<Variable, Variable> copies = new LinkedHashMap<>();
  private final Map<String, SignatureDef> signatures = new TreeMap<>();
  private final Map<String, String> functionNames = new HashMap<>();
  private final Map<String, List<String>> inputNames = new HashMap<>();

  ExportGraph(List<Variable> variables, PythonObjects objects) {
    this.objects = objects;
    Variables declared = new Variables(tf);
    for (Variable v : variables) {
      copies.put(v, declared.declare(v.name(), v.type(), v.shape(), v.trainable()));
    }
  }

  void add(ExportedSignature signature, boolean callable) {
    graph.importGraphDef(GraphDef.newBuilder().setLibrary(signature.library()).build());
    // Python hands dictionaries to functions in the order of their sorted keys.
    List<String> sorted = signature.inputs().stream().sorted().toList();
    String prefix = signature.name().replaceAll("[^A-Za-z0-9_]", "_");
    String name = "__inference_signature_" + prefix + "_" + signatures.size();
    try (TracedFunction function = trace(name, signature, sorted)) {
      signatures.put(signature.name(), call(prefix, function));
      objects.addSignature(signature.name(), name, function);
    }
    if (callable) {
      String callName = "__inference_call_" + signatures.size();
      try (TracedFunction function = trace(callName, signature, signature.inputs())) {
        graph.attachFunction(function.function());
        objects.addCall(callName, function);
      }
    }
  }

  private TracedFunction trace(String name, ExportedSignature signature, List<String> order) {
    TracedFunction.Body body = signature.body().apply(order);
    var function = TracedFunction.trace(name, tracing -> new TreeMap<>(body.build(tracing)));
    functionNames.put(function.name(), name);
    inputNames.put(function.name(), function.inputs().stream().map(ArgumentSpec::name).toList());
    return function;
  }

  private SignatureDef call(String prefix, TracedFunction function) {
    SignatureDef.Builder definition = SignatureDef.newBuilder();
    definition.setMethodName("tensorflow/serving/predict"); // TensorFlow Serving takes no other
    List<Operand<?>> inputs = new ArrayList<>();
    for (ArgumentSpec spec : function.inputs()) {
      Ops named = tf.withName(prefix + "_" + spec.name());
      var input = named.placeholder(spec.type(), Placeholder.shape(spec.shape())).asOutput();
      inputs.add(input);
      definition.putInputs(spec.name(), info(input, spec));
    }
    List<Output<?>> bound = new ArrayList<>();
    function.captured().forEach(variable -> bound.add(copies.get(variable).handle()));
    var call = function.call(tf, "call_" + prefix, inputs, bound, false);
    for (int i = 0; i < function.outputs().size(); i++) {
      ArgumentSpec spec = function.outputs().get(i);
      definition.putOutputs(spec.name(), info(call.output(i), spec));
    }
    return definition.build();
  }

  private static TensorInfo info(Output<?> output, ArgumentSpec spec) {
    var info = TensorInfo.newBuilder().setName(output.op().name() + ":" + output.index());
    return info.setDtype(spec.dataType()).setTensorShape(GraphProtos.shape(spec.shape())).build();
  }

  SavedModel finish() {
    List<Variable> saved = new ArrayList<>();
    copies.forEach((variable, copy) -> saved.add(copy.withCheckpointKey(objects.key(variable))));
    var saver = new SaveRestore(tf, saved, objectGraph(tf, objects)).saverDef();
    SavedModel.Builder model = SavedModel.newBuilder().setSavedModelSchemaVersion(1);
    var meta = model.addMetaGraphsBuilder().setGraphDef(renamed(graph.toGraphDef()));
    meta.setSaverDef(saver).putAllSignatureDef(signatures).setObjectGraphDef(objects.saved());
    var info = meta.getMetaInfoDefBuilder().addTags(SavedModelDirectory.SERVE);
    info.setTensorflowVersion(TensorFlow.version());
    return model.build();
  }

  /**
   * TensorFlow Java adds letters to the names of functions; Python expects a number at the end.
   * Variables get the names that Python knows, which TensorFlow Java takes for no op.
   */
  private GraphDef renamed(GraphDef definition) {
    GraphDef.Builder result = definition.toBuilder();
    Map<String, String> handles = handleNames(definition);
    for (NodeDef.Builder node : result.getNodeBuilderList()) {
      if (node.getOp().equals("VarHandleOp")) {
        // TensorFlow Lite finds a variable by the name of its node only.
        String handle = handles.get(node.getName());
        ByteString shared = ByteString.copyFromUtf8(handle);
        node.setName(handle).putAttr("shared_name", AttrValue.newBuilder().setS(shared).build());
      }
      rename(node, handles);
      AttrValue.Builder f = node.getAttrOrDefault("f", AttrValue.getDefaultInstance()).toBuilder();
      String name = functionNames.get(f.getFunc().getName());
      if (name != null) {
        f.getFuncBuilder().setName(name);
        node.putAttr("f", f.build());
      }
      if (node.getOp().equals("Const")
          && node.getAttrOrThrow("dtype").getType() == DataType.DT_STRING) {
        // As Python writes strings, for readers that know no other way.
        var strings = GraphProtos.unpacked(node.getAttrOrThrow("value").getTensor());
        node.putAttr("value", AttrValue.newBuilder().setTensor(strings).build());
      }
    }
    Map<String, FunctionDef> byName = new TreeMap<>();
    for (FunctionDef function : result.getLibrary().getFunctionList()) {
      FunctionDef.Builder renamed = function.toBuilder();
      String name = function.getSignature().getName();
      renamed.getSignatureBuilder().setName(functionNames.getOrDefault(name, name));
      nameArguments(renamed, inputNames.getOrDefault(name, List.of()));
      List<NodeDef> nodes = new ArrayList<>(renamed.getNodeDefList());
      nodes.sort(Comparator.comparing(NodeDef::getName)); // TensorFlow Java's order varies
      renamed.clearNodeDef().addAllNodeDef(nodes);
      byName.put(renamed.getSignature().getName(), renamed.build());
    }
    result.getLibraryBuilder().clearFunction().addAllFunction(byName.values());
    return result.build();
  }

  /** Names the first arguments as the signature's inputs, for who reads the function alone. */
  private static void nameArguments(FunctionDef.Builder function, List<String> inputs) {
    var arguments = function.getSignatureBuilder().getInputArgBuilderList();
    Set<String> taken = new HashSet<>();
    function.getNodeDefList().forEach(node -> taken.add(node.getName()));
    arguments.forEach(argument -> taken.add(argument.getName()));
    Map<String, String> names = new HashMap<>();
    for (int i = 0; i < inputs.size(); i++) {
      // The form that TensorFlow has for names of arguments.
      String lower = inputs.get(i).toLowerCase(Locale.ROOT);
      String name = lower.startsWith("_") ? "arg" + lower : lower;
      if (taken.add(name)) {
        names.put(arguments.get(i).getName(), name);
        arguments.get(i).setName(name);
      }
    }
    for (NodeDef.Builder node : function.getNodeDefBuilderList()) {
      rename(node, names);
    }
  }

  private static void rename(NodeDef.Builder node, Map<String, String> inputs) {
    for (int i = 0; i < node.getInputCount(); i++) {
      node.setInput(i, inputs.getOrDefault(node.getInput(i), node.getInput(i)));
    }
  }

  /** New names of the variables' nodes by the old ones; no other node has them. */
  private Map<String, String> handleNames(GraphDef definition) {
    Set<String> taken = new HashSet<>();
    for (NodeDef node : definition.getNodeList()) {
      if (!node.getOp().equals("VarHandleOp")) {
        taken.add(node.getName());
      }
    }
    Map<String, String> names = new HashMap<>();
    copies.forEach(
        (variable, copy) -> {
          String wanted = objects.name(variable);
          String name = wanted;
          for (int i = 1; !taken.add(name); i++) {
            name = wanted + "_" + i;
          }
          names.put(copy.handle().op().name(), name);
        });
    return names;
  }

  static Map<String, Operand<?>> objectGraph(Ops tf, PythonObjects objects) {
    var graph = NdArrays.scalarOfObject(objects.trackable().toByteArray());
    try (TString bytes = TString.tensorOfBytes(graph)) {
      return Map.of(OBJECT_GRAPH_KEY, tf.constantOf(bytes));
    }
  }

  @Override
  public void close() {
    graph.close();
  }
}
