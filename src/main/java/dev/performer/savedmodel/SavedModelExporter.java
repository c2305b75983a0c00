package dev.performer.savedmodel;

import static dev.performer.savedmodel.ImportedModel.DEFAULT_SIGNATURE;

import com.google.protobuf.CodedOutputStream;
import dev.performer.graph.GraphCut;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.TracedFunction;
import dev.performer.graph.TracedFunction.ArgumentSpec;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.FunctionDefLibrary;
import org.tensorflow.proto.SavedModel;

/**
 * Writes a graph that Java built as a TF2 SavedModel with an object graph: Python sees its
 * variables as attributes, the trainable ones marked, can call and train it and save it again;
 * TensorFlow Serving and the C library see ordinary signatures, and only what those need is
 * written.
 */
public final class SavedModelExporter {
  private static final Pattern IDENTIFIER = Pattern.compile("[A-Za-z_][A-Za-z0-9_]*");

  /** One signature: how to build it as a function, with inputs in the order of {@code inputs}. */
  record ExportedSignature(
      String name,
      List<String> inputs,
      Function<List<String>, TracedFunction.Body> body,
      FunctionDefLibrary library) {}

  @FunctionalInterface
  public interface SignatureBody {
    /** From the inputs by name, and the value of a variable by its name, to outputs by name. */
    Map<String, Operand<?>> build(
        Ops tf, Map<String, Operand<?>> inputs, Function<String, Operand<?>> readVariable);
  }

  private final List<Variable> variables = new ArrayList<>();
  private final Map<String, ExportedSignature> signatures = new LinkedHashMap<>();
  private OutputDirectory.Writer extra = directory -> {};
  private String callable;
  private ModelCard card;
  private boolean replace;

  private SavedModelExporter() {}

  public static SavedModelExporter builder() {
    return new SavedModelExporter();
  }

  /** Adds variables. All of them are written, whether a signature reads them or not. */
  public SavedModelExporter variables(List<Variable> added) {
    variables.addAll(added);
    return this;
  }

  /**
   * Adds a signature that is built anew, for variables given before. Its inputs, −1 for batch and
   * length, have the order of Python's {@code model(...)}.
   */
  public SavedModelExporter signature(String name, List<ArgumentSpec> inputs, SignatureBody body) {
    Map<String, ArgumentSpec> specs = new LinkedHashMap<>();
    inputs.forEach(spec -> specs.put(spec.name(), spec));
    Function<List<String>, TracedFunction.Body> traced =
        order -> tracing -> trace(tracing, order.stream().map(specs::get).toList(), body);
    var none = FunctionDefLibrary.getDefaultInstance();
    return add(new ExportedSignature(name, List.copyOf(specs.keySet()), traced, none));
  }

  private Map<String, Operand<?>> trace(
      TracedFunction.Tracing tracing, List<ArgumentSpec> inputs, SignatureBody body) {
    Ops tf = tracing.tf();
    Map<String, Operand<?>> values = new LinkedHashMap<>();
    inputs.forEach(spec -> values.put(spec.name(), tracing.input(spec)));
    Map<String, Operand<?>> known = new HashMap<>();
    Function<String, Operand<?>> read = n -> tracing.capture(variable(n)).read(tf).asOutput();
    return body.build(tf, values, name -> known.computeIfAbsent(name, read));
  }

  private Variable variable(String name) {
    var found = variables.stream().filter(variable -> variable.name().equals(name)).findFirst();
    return found.orElseThrow(() -> new IllegalArgumentException("no variable " + name));
  }

  /**
   * Adds a signature that is cut out of the variables' graph: placeholders, and what depends on no
   * other placeholder, by the names they shall have.
   */
  public SavedModelExporter signature(
      String name,
      Map<String, ? extends Operand<?>> inputs,
      Map<String, ? extends Operand<?>> outputs) {
    if (outputs.isEmpty()) {
      throw new IllegalArgumentException("signature " + name + " has no output");
    }
    Graph graph = (Graph) outputs.values().iterator().next().asOutput().op().env();
    Function<List<String>, TracedFunction.Body> body =
        order -> {
          Map<String, Operand<?>> ordered = new LinkedHashMap<>();
          order.forEach(key -> ordered.put(key, inputs.get(key)));
          return new GraphCut(graph, ordered, outputs, variables);
        };
    var library = new GraphCut(graph, inputs, outputs, variables).library();
    return add(new ExportedSignature(name, List.copyOf(inputs.keySet()), body, library));
  }

  private SavedModelExporter add(ExportedSignature signature) {
    String name = signature.name();
    for (String input : signature.inputs()) {
      if (!IDENTIFIER.matcher(input).matches()) {
        String message = "input %s of signature %s is no Python identifier";
        throw new IllegalArgumentException(message.formatted(input, name));
      }
    }
    if (signatures.put(name, signature) != null) {
      throw new IllegalArgumentException("two signatures are named " + name);
    }
    return this;
  }

  /** What {@code model(...)} runs in Python; by default {@code serving_default} or the first. */
  public SavedModelExporter callable(String signature) {
    callable = signature;
    return this;
  }

  public SavedModelExporter card(ModelCard description) {
    card = description;
    return this;
  }

  /** Adds files beside the model, written into its directory before that is moved to its place. */
  SavedModelExporter extra(OutputDirectory.Writer writer) {
    extra = writer;
    return this;
  }

  public SavedModelExporter replaceExisting() {
    replace = true;
    return this;
  }

  /**
   * Writes the SavedModel with the values of a session, which stays as it is; parents are made.
   *
   * @throws dev.performer.PerformerException if the directory is taken or cannot be written
   */
  public void export(Session session, Path directory) {
    for (Variable variable : variables) {
      if (variable.handle().op().env() != session.graph()) {
        throw new IllegalArgumentException(variable.name() + " is not of the session's graph");
      }
    }
    String called = called();
    PythonObjects objects = new PythonObjects(variables);
    SavedModel model;
    try (ExportGraph graph = new ExportGraph(variables, objects)) {
      signatures.forEach((name, signature) -> graph.add(signature, name.equals(called)));
      model = graph.finish();
    }
    OutputDirectory.write(
        directory, replace, card, staging -> write(session, objects, model, staging));
  }

  private String called() {
    String first = signatures.keySet().stream().findFirst().orElse("");
    String known = signatures.containsKey(DEFAULT_SIGNATURE) ? DEFAULT_SIGNATURE : first;
    String called = callable == null ? known : callable;
    if (!signatures.containsKey(called)) {
      String some = "no signature " + called + " to call; there are " + signatures.keySet();
      throw new IllegalStateException(
          signatures.isEmpty() ? "a SavedModel needs at least one signature" : some);
    }
    return called;
  }

  private void write(Session session, PythonObjects objects, SavedModel model, Path directory)
      throws IOException {
    Files.write(directory.resolve(SavedModelDirectory.GRAPH_FILE), bytes(model));
    try (Variables.Values values = Variables.fetch(session, variables)) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      values.tensors().forEach((variable, value) -> tensors.put(objects.key(variable), value));
      Path prefix = directory.resolve(SavedModelDirectory.CHECKPOINT);
      SaveRestore.write(prefix, tensors, Map.of(), tf -> ExportGraph.objectGraph(tf, objects));
    }
    extra.write(directory);
  }

  /** The same bytes for the same model: attributes are maps, which have no order by themselves. */
  private static byte[] bytes(SavedModel model) throws IOException {
    byte[] bytes = new byte[model.getSerializedSize()];
    var out = CodedOutputStream.newInstance(bytes);
    out.useDeterministicSerialization();
    model.writeTo(out);
    out.checkNoSpaceLeft();
    return bytes;
  }
}
