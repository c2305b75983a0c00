package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.ControlFlowGradients;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.FunctionInliner;
import dev.performer.graph.GradientRewrites;
import dev.performer.graph.GraphIndex;
import dev.performer.graph.GraphParts;
import dev.performer.graph.LossGradients;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Recomputation;
import dev.performer.graph.ResourceConversion;
import dev.performer.graph.SinglePrecision;
import dev.performer.graph.TensorNames;
import dev.performer.graph.Variable;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.proto.GraphDef;

/**
 * A SavedModel as an ordinary differentiable graph: the functions of one or several signatures are
 * inlined, the variables shared between them. Owns the graph; sessions on it must be closed first.
 */
public final class ImportedModel implements AutoCloseable {
  /** The signature that models have by convention, called when none is named. */
  public static final String DEFAULT_SIGNATURE = "serving_default";

  private final SavedModelDirectory directory;
  private final GraphDef original;
  private final Map<String, SignatureSpec> signatures = new LinkedHashMap<>();
  private final CustomGradients customGradients;
  private final GradientRewrites rewrites;
  private final FlatGraph flat;
  private final Graph graph;
  private final Map<List<String>, Trainability> verdicts = new HashMap<>();
  private final List<Variable> stored;
  private List<Variable> variables;
  private final ModelRestore restore;
  private final Optional<LowRankAdaptation> adaptation;
  private boolean isMerged;

  private ImportedModel(
      Graph graph,
      SavedModelDirectory directory,
      List<String> names,
      Optional<Lora.Adaptation> adapted) {
    this.graph = graph;
    this.directory = directory;
    var wanted = names.stream().distinct().map(directory::signature).toList();
    TrainingFlag settled = TrainingFlag.settled(directory.metaGraph().getGraphDef(), wanted);
    original = settled.graph();
    signatures.putAll(settled.signatures());
    customGradients = new CustomGradients(directory);
    LossGradients.register();
    Set<String> roots = new LinkedHashSet<>();
    for (SignatureSpec signature : signatures.values()) {
      signature.inputs().values().forEach(spec -> roots.add(spec.tensor()));
      roots.addAll(outputs(signature));
    }
    FlatGraph inlined = flatten(roots);
    var nodes = inlined.graph().getNodeList();
    boolean hasTables = nodes.stream().anyMatch(node -> node.getOp().contains("HashTable"));
    Optional<String> initializer = hasTables ? directory.initializer() : Optional.empty();
    if (initializer.isPresent()) {
      roots.add("^" + TensorNames.node(initializer.get()));
      inlined = flatten(roots);
    }
    GraphDef converted = SinglePrecision.apply(ResourceConversion.apply(inlined.graph()));
    GraphIndex index = new GraphIndex(converted.getNodeList());
    Predicate<VariableSpec> isImported =
        spec -> index.find(spec.node()).filter(n -> n.getOp().equals("VarHandleOp")).isPresent();
    List<VariableSpec> specs = directory.variables().stream().filter(isImported).toList();
    adaptation = adapted.map(how -> new LowRankAdaptation(converted, how, specs));
    GraphDef whole = adaptation.map(LowRankAdaptation::graph).orElse(converted);
    var functions = new ControlFlowGradients(whole.getLibrary(), customGradients);
    rewrites = new GradientRewrites(inlined, whole, functions);
    flat = new FlatGraph(rewrites.graph(), inlined.calls(), inlined.resolver());
    graph.importGraphDef(flat.graph());
    rewrites.attach(graph);
    customGradients.attach(graph, flat);
    var known = specs.stream().filter(spec -> ArrayConversion.isKnown(spec.type()));
    stored = known.map(spec -> spec.in(graph)).toList();
    variables = adaptation.map(own -> own.attach(graph, stored)).orElse(stored);
    restore = new ModelRestore(graph, flat, directory, specs, initializer);
  }

  /**
   * Imports some signatures into one graph; {@link #DEFAULT_SIGNATURE} where none is named. @throws
   * PerformerException if the model is damaged, lacks a signature, or cannot be inlined
   */
  public static ImportedModel load(Path directory, String... signatures) {
    var names = signatures.length == 0 ? List.of(DEFAULT_SIGNATURE) : List.of(signatures);
    return load(SavedModelDirectory.open(directory), names);
  }

  public static ImportedModel load(SavedModelDirectory directory, List<String> signatures) {
    return load(directory, signatures, Optional.empty());
  }

  /** The same, where a model is adapted with low-rank factors. */
  public static ImportedModel load(
      SavedModelDirectory directory,
      List<String> signatures,
      Optional<Lora.Adaptation> adaptation) {
    Graph graph = new Graph();
    try {
      return new ImportedModel(graph, directory, signatures, adaptation);
    } catch (RuntimeException e) {
      close(graph);
      String message = directory.path() + " cannot be imported: " + NativeErrors.firstLine(e);
      throw e instanceof PerformerException known
          ? known.in(directory.path())
          : new PerformerException(message, e);
    }
  }

  private static void close(Graph graph) {
    LossGradients.detach(graph);
    graph.close();
  }

  private static List<String> outputs(SignatureSpec signature) {
    return signature.outputs().values().stream().map(TensorSpec::tensor).toList();
  }

  private FlatGraph flatten(Set<String> roots) {
    return FunctionInliner.inline(original, roots, customGradients::alsoNeeded);
  }

  public Graph graph() {
    return graph;
  }

  public SavedModelDirectory directory() {
    return directory;
  }

  /** Those that were imported; one with an input {@code training} is itself in training. */
  public Map<String, SignatureSpec> signatures() {
    return Collections.unmodifiableMap(signatures);
  }

  /**
   * The signature that stands for an imported one in inference: itself, if training is the same.
   */
  public String inference(String signature) {
    String other = TrainingFlag.inference(signature);
    return signatures.containsKey(other) ? other : signature;
  }

  public Output<?> input(String signature, String name) {
    return graph.outputOrThrow(flat.resolve(imported(signature).input(name).tensor()));
  }

  public Output<?> output(String signature, String name) {
    return graph.outputOrThrow(flat.resolve(imported(signature).output(name).tensor()));
  }

  /**
   * Outputs by name once more, in parts of the graph that are computed again for their gradients;
   * {@link #output} stays as it is. Variables that are frozen later are as if they were not.
   *
   * @param parts new; gets the parts
   * @throws PerformerException if nothing could be saved so, or something cannot be repeated
   */
  public Map<String, Output<?>> inParts(
      String signature, List<String> outputs, Recomputation parts) {
    SignatureSpec spec = imported(signature);
    List<String> names = outputs.stream().distinct().toList();
    var references = names.stream().map(name -> flat.resolve(spec.output(name).tensor())).toList();
    List<Variable> trained = variables.stream().filter(Variable::trainable).toList();
    var copies = GraphParts.of(graph, flat.graph(), references, trained, parts);
    Map<String, Output<?>> byName = new LinkedHashMap<>();
    names.forEach(name -> byName.put(name, copies.get(byName.size())));
    return byName;
  }

  /**
   * An array as an input takes it; the caller closes it. @throws PerformerException if it cannot
   */
  public static Tensor tensor(TensorSpec input, NpyArray array) {
    return ArrayConversion.toTensor(input, array);
  }

  /** 0 or false for a scalar input. */
  public static NpyArray zero(TensorSpec input) {
    return ArrayConversion.zero(input);
  }

  /** Those of the model's files and, until they are merged, low-rank factors. */
  public List<Variable> variables() {
    return isMerged ? stored : variables;
  }

  /** Adds low-rank factors, if there are any, to their weights in a session: outputs stay. */
  public void merge(Session session) {
    adaptation.ifPresent(own -> own.merge(session));
    isMerged = true;
  }

  /** Gives a session the stored values of variables, factors their first; fills lookup tables. */
  public void restore(Session session) {
    restore.run(session);
    adaptation.ifPresent(own -> own.initialize(session));
  }

  /** Trains some variables no more, such as those that a gradient cannot reach in full. */
  public void freeze(Collection<Variable> frozen) {
    UnaryOperator<Variable> freeze = v -> frozen.contains(v) ? v.notTrained() : v;
    variables = variables.stream().map(freeze).toList();
    verdicts.clear();
  }

  /**
   * Which trainable variables get a gradient from the floating point outputs of all signatures. The
   * gradients are added to the graph, once, to see that they can be built.
   */
  public Trainability trainability() {
    return trainability(signatures.values().stream().flatMap(s -> outputs(s).stream()).toList());
  }

  public Trainability trainability(String signature, String output) {
    return trainability(List.of(imported(signature).output(output).tensor()));
  }

  private Trainability trainability(List<String> outputs) {
    var resolved = outputs.stream().map(flat::resolve).toList();
    return verdicts.computeIfAbsent(
        resolved,
        key ->
            Trainability.of(flat, rewrites, customGradients, key, variables)
                .tried(graph, flat, key));
  }

  GraphDef flatGraph() {
    return flat.graph();
  }

  private SignatureSpec imported(String name) {
    SignatureSpec signature = signatures.get(name);
    String reason = "the signature %s of %s was not imported; imported are %s";
    require(signature != null, reason, name, directory.path(), signatures.keySet());
    return signature;
  }

  /** Closes the graph; it blocks while a session on it is open. */
  @Override
  public void close() {
    close(graph);
  }
}
