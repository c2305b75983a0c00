package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import dev.performer.data.NpyArray;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.ResourceConversion;
import dev.performer.graph.TensorNames;
import dev.performer.graph.Variable;
import dev.performer.graph.VariableValues;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;

/**
 * Some signatures of any SavedModel as one graph without calls, to be changed and written again.
 *
 * @param flat the graph with names of its own
 * @param definition the graph, whose variables are read in one way
 * @param initializer of lookup tables, if there are any
 * @param variables those that the graph reads
 */
public record FlatModel(
    SavedModelDirectory directory,
    List<SignatureSpec> signatures,
    FlatGraph flat,
    GraphDef definition,
    Optional<String> initializer,
    List<VariableSpec> variables) {

  /** Flattens signatures; all of them where none is named. */
  public static FlatModel of(SavedModelDirectory directory, Collection<String> signatures) {
    Set<String> roots = new LinkedHashSet<>();
    var names = signatures.isEmpty() ? directory.signatures().keySet() : signatures;
    var wanted = names.stream().distinct().map(directory::signature).toList();
    for (SignatureSpec signature : wanted) {
      signature.inputs().values().forEach(spec -> roots.add(spec.tensor()));
      signature.outputs().values().forEach(spec -> roots.add(spec.tensor()));
    }
    require(!roots.isEmpty(), "%s has no signature to serve", directory.path());
    GraphDef whole = directory.metaGraph().getGraphDef();
    FlatGraph flat = FunctionInliner.inline(whole, roots);
    Optional<String> initializer = hasTables(flat) ? directory.initializer() : Optional.empty();
    if (initializer.isPresent()) {
      roots.add("^" + TensorNames.node(initializer.get()));
      flat = FunctionInliner.inline(whole, roots);
    }
    GraphDef read = VariableValues.readWhole(ResourceConversion.apply(flat.graph()));
    Set<String> handles =
        read.getNodeList().stream()
            .filter(node -> node.getOp().equals("VarHandleOp"))
            .map(NodeDef::getName)
            .collect(Collectors.toSet());
    var known = directory.variables().stream().filter(v -> handles.contains(v.node())).toList();
    return new FlatModel(directory, wanted, flat, read, initializer, known);
  }

  private static boolean hasTables(FlatGraph flat) {
    return flat.graph().getNodeList().stream().anyMatch(n -> n.getOp().contains("HashTable"));
  }

  /** Whether strings or numbers are looked up in tables, which no exported graph holds. */
  public boolean hasTables() {
    return hasTables(flat);
  }

  /** A session of a graph with these nodes and others, in which variables have their values. */
  public Session restored(Graph graph) {
    var restore = new ModelRestore(graph, flat, directory, variables, Optional.empty());
    Session session = new Session(graph, false);
    try {
      restore.run(session);
      return session;
    } catch (RuntimeException e) {
      session.close();
      throw e;
    }
  }

  /** The model's variables in a graph that has its nodes. */
  public List<Variable> variables(Graph graph) {
    return variables.stream().map(spec -> spec.in(graph)).toList();
  }

  /** Where an input or output is in the flat graph. */
  public String reference(TensorSpec spec) {
    return flat.resolve(spec.tensor());
  }

  /** What an input or output is in a graph that has the model's nodes. */
  public Output<?> tensor(Graph graph, TensorSpec spec) {
    return graph.outputOrThrow(reference(spec));
  }

  /**
   * What writes all signatures of a graph that has the model's nodes.
   *
   * @param variables all that are written, the model's own among them
   */
  public SavedModelExporter exporter(Graph graph, List<Variable> variables) {
    var exporter = SavedModelExporter.builder().variables(variables);
    Ops tf = Ops.create(graph).withSubScope("served");
    for (SignatureSpec signature : signatures) {
      Map<String, Operand<?>> inputs = new LinkedHashMap<>();
      signature.inputs().forEach((name, spec) -> inputs.put(name, tensor(graph, spec)));
      Map<String, Operand<?>> outputs = new LinkedHashMap<>();
      signature
          .outputs()
          .forEach((name, spec) -> outputs.put(name, tf.identity(tensor(graph, spec))));
      exporter.signature(signature.name(), inputs, outputs);
    }
    return exporter;
  }

  /**
   * Fetches tensors of a session; those of types without an array are left out.
   *
   * @param feeds arrays by reference
   */
  public static Map<String, NpyArray> fetch(
      Session session, Map<String, Tensor> feeds, Collection<String> references) {
    List<String> order = List.copyOf(new LinkedHashSet<>(references));
    Session.Runner runner = session.runner();
    feeds.forEach(runner::feed);
    order.forEach(runner::fetch);
    Map<String, NpyArray> values = new LinkedHashMap<>();
    try (var result = runner.run()) {
      for (int i = 0; i < order.size(); i++) {
        values.put(order.get(i), ArrayConversion.toArray(order.get(i), result.get(i)));
      }
    }
    return values;
  }
}
