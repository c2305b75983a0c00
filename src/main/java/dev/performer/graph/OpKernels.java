package dev.performer.graph;

import static dev.performer.graph.RegisteredKernels.Support;

import dev.performer.graph.FlatGraph.Call;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NameAttrList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;

/**
 * An op with the types of its attributes, and which devices have a kernel for it.
 *
 * @param types as Python names them, such as {@code float32}, in the order of its attributes
 * @param count nodes of the graph and of the functions that it uses, each function counted once
 * @param node one of them; with the function before it, where it is in one
 * @param cpu of the loaded library, as {@code xlaCpu}
 * @param gpu of the loaded library if it is one for GPUs, else as {@link
 *     RegisteredKernels#ofGpuLibrary} lists them; so is {@code xlaGpu}
 */
public record OpKernels(
    String op,
    List<String> types,
    int count,
    String node,
    Support cpu,
    Support gpu,
    Support xlaCpu,
    Support xlaGpu) {

  /** All ops of a graph and of the functions that it uses, sorted by name and types. */
  public static List<OpKernels> of(GraphDef graph) {
    Census census = new Census(graph);
    census.count(graph);
    List<OpKernels> all = new ArrayList<>();
    RegisteredKernels own = RegisteredKernels.withXla();
    RegisteredKernels gpu = RegisteredKernels.ofGpuLibrary();
    census.found.values().forEach(found -> all.add(found.in(own, gpu)));
    return all;
  }

  /** The op and its types: {@code MatMul float32}. */
  @Override
  public String toString() {
    return (op + " " + String.join(", ", types)).strip();
  }

  private static Support xla(RegisteredKernels kernels, String device, NodeDef node) {
    return RegisteredKernels.isArgumentOrCall(node.getOp())
        ? Support.DEVICE
        : kernels.of(device, node);
  }

  /** Nodes of one op with the same types. */
  private static final class Found {
    private final NodeDef example;
    private final List<String> types;
    private final String place;
    private int count;

    Found(NodeDef example, List<String> types, String place) {
      this.example = example;
      this.types = types;
      this.place = place;
    }

    OpKernels in(RegisteredKernels own, RegisteredKernels gpus) {
      return new OpKernels(
          example.getOp(),
          types,
          count,
          place,
          own.of(RegisteredKernels.CPU, example),
          gpus.of(RegisteredKernels.GPU, example),
          xla(own, RegisteredKernels.XLA_CPU, example),
          xla(gpus, RegisteredKernels.XLA_GPU, example));
    }
  }

  private static final class Census {
    private final FunctionLibrary library;
    private final Map<String, Found> found = new TreeMap<>();
    private final Set<NameAttrList> seen = new HashSet<>();
    private final ArrayDeque<NameAttrList> open = new ArrayDeque<>();

    Census(GraphDef graph) {
      library = new FunctionLibrary(graph.getLibrary());
    }

    void count(GraphDef graph) {
      graph.getNodeList().forEach(node -> count(node, ""));
      while (!open.isEmpty()) {
        NameAttrList function = open.remove();
        library.find(function.getName()).ifPresent(body -> count(body, function.getAttrMap()));
      }
    }

    private void count(FunctionDef body, Map<String, AttrValue> attributes) {
      String name = body.getSignature().getName();
      var nodes = new GraphIndex(body.getNodeDefList());
      Call call = new Call(body, name, Optional.empty(), attributes, Map.of(), nodes);
      body.getNodeDefList().forEach(node -> count(call.filled(node), name + "/"));
    }

    private void count(NodeDef node, String place) {
      for (AttrValue value : node.getAttrMap().values()) {
        if (value.hasFunc()) {
          follow(value.getFunc());
        }
        value.getList().getFuncList().forEach(this::follow);
      }
      if (library.find(node.getOp()).isPresent()) { // called by its name
        var attributes = new HashMap<>(node.getAttrMap());
        follow(NameAttrList.newBuilder().setName(node.getOp()).putAllAttr(attributes).build());
        return;
      }
      List<String> types = types(node);
      String key = node.getOp() + " " + types;
      found.computeIfAbsent(key, k -> new Found(node, types, place + node.getName())).count++;
    }

    private void follow(NameAttrList function) {
      if (seen.add(function)) {
        open.add(function);
      }
    }

    private static List<String> types(NodeDef node) {
      Map<String, AttrValue> values = OpDefinitions.attributes(node);
      List<String> types = new ArrayList<>();
      for (OpDef.AttrDef attribute :
          OpDefinitions.find(node.getOp()).map(OpDef::getAttrList).orElse(List.of())) {
        AttrValue value = values.get(attribute.getName());
        if (attribute.getType().equals("type")) {
          types.add(Tensors.typeName(value.getType()));
        } else if (attribute.getType().equals("list(type)")) {
          Set<String> distinct = new LinkedHashSet<>();
          value.getList().getTypeList().forEach(type -> distinct.add(Tensors.typeName(type)));
          types.add(String.join("/", distinct));
        }
      }
      types.removeIf(String::isEmpty);
      return List.copyOf(types);
    }
  }
}
