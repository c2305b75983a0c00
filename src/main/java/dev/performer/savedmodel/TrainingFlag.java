package dev.performer.savedmodel;

import dev.performer.graph.GraphIndex;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.TensorNames;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.TensorProto;

/**
 * Makes two of a signature with a scalar input {@code training}: one in which it is true and, under
 * {@link #inference}, one in which it is false. As constants they decide which branches there are.
 *
 * @param graph with the calls of both
 * @param signatures those of one kind as they are, of the others both, without that input
 */
record TrainingFlag(GraphDef graph, Map<String, SignatureSpec> signatures) {
  private static final Set<String> NAMES = Set.of("training", "is_training");

  /** The name of a signature in inference. */
  static String inference(String signature) {
    return signature + " in inference";
  }

  static TrainingFlag settled(GraphDef original, List<SignatureSpec> signatures) {
    GraphDef.Builder graph = original.toBuilder();
    GraphIndex index = new GraphIndex(original.getNodeList());
    Map<String, SignatureSpec> settled = new LinkedHashMap<>();
    for (SignatureSpec signature : signatures) {
      var flag = signature.inputs().values().stream().filter(TrainingFlag::isFlag).findFirst();
      settled.put(signature.name(), signature);
      if (flag.isPresent()) {
        var copy = new Copy(index, signature, flag.get());
        settled.put(signature.name(), copy.with(graph, signature.name(), true));
        String inference = inference(signature.name());
        settled.put(inference, copy.with(graph, inference, false));
      }
    }
    return new TrainingFlag(graph.build(), settled);
  }

  private static boolean isFlag(TensorSpec input) {
    return input.type() == DataType.DT_BOOL
        && input.shape().equals(Shape.scalar())
        && NAMES.contains(input.name().toLowerCase(Locale.ROOT));
  }

  private record Copy(GraphIndex index, SignatureSpec signature, TensorSpec flag) {
    /** Adds what depends on the flag anew, with a constant in its place. */
    SignatureSpec with(GraphDef.Builder graph, String name, boolean value) {
      String scope = value ? "in_training" : "in_inference";
      while (index.find(scope + "/" + flag.name()).isPresent()) {
        scope += "_";
      }
      String prefix = scope + "/" + signature.name() + "/";
      var tensor = TensorProto.newBuilder().setDtype(DataType.DT_BOOL).addBoolVal(value);
      tensor.setTensorShape(GraphProtos.shape(Shape.scalar()));
      String source = TensorNames.node(flag.tensor());
      graph.addNode(
          GraphProtos.node(prefix + source, "Const")
              .putAttr("dtype", GraphProtos.type(DataType.DT_BOOL))
              .putAttr("value", AttrValue.newBuilder().setTensor(tensor).build()));
      var roots = signature.outputs().values().stream().map(TensorSpec::tensor).toList();
      Set<String> changed = dependent(index.reached(roots, NodeDef::getInputList), source);
      for (String node : changed) {
        NodeDef own = index.require(node, "a signature");
        NodeDef.Builder copy = own.toBuilder().setName(prefix + node).clearInput();
        own.getInputList().forEach(in -> copy.addInput(renamed(in, source, changed, prefix)));
        graph.addNode(copy.removeAttr("_class"));
      }
      Map<String, TensorSpec> inputs = new LinkedHashMap<>(signature.inputs());
      inputs.remove(flag.name());
      Map<String, TensorSpec> outputs = new LinkedHashMap<>();
      signature
          .outputs()
          .forEach(
              (key, out) -> {
                String at = renamed(out.tensor(), source, changed, prefix);
                outputs.put(key, new TensorSpec(out.name(), at, out.type(), out.shape()));
              });
      return new SignatureSpec(name, signature.method(), inputs, outputs);
    }

    /** Nodes that the flag reaches, each behind what it takes. */
    private Set<String> dependent(Set<String> all, String source) {
      Map<String, List<String>> users = new LinkedHashMap<>();
      for (String node : all) {
        for (String input : index.require(node, "a signature").getInputList()) {
          users.computeIfAbsent(TensorNames.node(input), key -> new ArrayList<>()).add(node);
        }
      }
      Set<String> found =
          index.reached(List.of(source), n -> users.getOrDefault(n.getName(), List.of()));
      found.remove(source);
      return found;
    }

    private static String renamed(String input, String source, Set<String> copied, String prefix) {
      String node = TensorNames.node(input);
      boolean isCopied = node.equals(source) || copied.contains(node);
      String control = TensorNames.isControl(input) ? "^" : "";
      return isCopied ? control + prefix + input.substring(control.length()) : input;
    }
  }
}
