package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.DeviceCheck;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.OpKernels;
import dev.performer.graph.ResourceConversion;
import dev.performer.graph.StaticForm;
import dev.performer.graph.TensorNames;
import dev.performer.graph.Variable;
import dev.performer.graph.XlaFunction;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/** What devices have for a signature of a SavedModel, as it is served. */
public final class SignatureCheck {
  private SignatureCheck() {}

  /**
   * Lists the ops, without those that no output needs, and compiles them for the sizes of inputs.
   *
   * @param inputs what it runs on; null to compile nothing
   * @throws PerformerException if the signature cannot be read
   */
  public static DeviceCheck of(
      SavedModelDirectory model, SignatureSpec signature, Map<String, NpyArray> inputs) {
    Set<String> roots = new LinkedHashSet<>();
    signature.inputs().values().forEach(spec -> roots.add(spec.tensor()));
    signature.outputs().values().forEach(spec -> roots.add(spec.tensor()));
    FlatGraph flat = FunctionInliner.inline(model.metaGraph().getGraphDef(), roots);
    DeviceCheck listed = DeviceCheck.listed(signature.name(), OpKernels.of(flat.graph()));
    if (inputs == null) {
      return listed;
    }
    Map<String, Tensor> feeds = new LinkedHashMap<>();
    try (Graph graph = new Graph()) {
      for (TensorSpec input : signature.inputs().values()) {
        String node = TensorNames.node(flat.resolve(input.tensor()));
        feeds.put(node, ArrayConversion.toTensor(input, inputs.get(input.name())));
      }
      GraphDef definition = StaticForm.of(ResourceConversion.apply(flat.graph()), feeds);
      graph.importGraphDef(definition);
      List<String> open = StaticForm.openSizes(definition);
      var compilation = new Compilation(model, signature, flat, definition, feeds);
      return listed.tried(open, () -> compilation.run(graph));
    } catch (RuntimeException e) {
      return listed.refused(e);
    } finally {
      feeds.values().forEach(Tensor::close);
    }
  }

  private record Compilation(
      SavedModelDirectory model,
      SignatureSpec signature,
      FlatGraph flat,
      GraphDef definition,
      Map<String, Tensor> feeds) {

    void run(Graph graph) {
      Set<String> handles = new HashSet<>();
      for (NodeDef node : definition.getNodeList()) {
        if (node.getOp().equals("VarHandleOp")) {
          handles.add(node.getName());
        }
      }
      var specs = model.variables().stream().filter(v -> handles.contains(v.node())).toList();
      var restore = new ModelRestore(graph, flat, model, specs, Optional.empty());
      List<Variable> variables = specs.stream().map(spec -> spec.in(graph)).toList();
      List<Output<?>> inputs = new ArrayList<>();
      feeds.forEach(
          (node, tensor) -> {
            if (tensor.rank() > 0) {
              inputs.add(graph.outputOrThrow(node));
            }
          });
      Set<String> results = new LinkedHashSet<>();
      signature.outputs().values().forEach(spec -> results.add(flat.resolve(spec.tensor())));
      var outputs = results.stream().<Output<?>>map(graph::outputOrThrow).toList();
      Ops tf = Ops.create(graph).withSubScope("compiled");
      var compiled = XlaFunction.cut(tf, inputs, inputs, outputs, variables);
      try (Session session = new Session(graph, false, XlaFunction.sessionConfig())) {
        restore.run(session);
        Session.Runner runner = session.runner();
        inputs.forEach(input -> runner.feed(input, feeds.get(input.op().name())));
        compiled.forEach(runner::fetch);
        runner.run().close();
      }
    }
  }
}
