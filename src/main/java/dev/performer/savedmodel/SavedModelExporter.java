package dev.performer.savedmodel;

import com.google.protobuf.CodedOutputStream;
import dev.performer.PerformerException;
import dev.performer.graph.ArgumentSpec;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.GraphCut;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.TracedFunction;
import dev.performer.graph.Variable;
import dev.performer.graph.VariableValues;
import dev.performer.graph.Variables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.proto.FunctionDefLibrary;
import org.tensorflow.proto.SavedModel;

/**
 * Writes a graph that Java built as a TF2 SavedModel with an object graph: Python sees its
 * variables as attributes, the trainable ones marked, can call and train it and save it again;
 * TensorFlow Serving and the C library see ordinary signatures.
 *
 * <p>Only what the signatures need is written, not gradients or optimizer. The values come from a
 * session, which stays as it is.
 */
public final class SavedModelExporter {
  /** The signature that is called when none is named. */
  public static final String DEFAULT_SIGNATURE = "serving_default";

  private static final Pattern IDENTIFIER = Pattern.compile("[A-Za-z_][A-Za-z0-9_]*");

  /** One signature: how to build it as a function, with inputs in the order of {@code inputs}. */
  record ExportedSignature(
      String name,
      List<String> inputs,
      Function<List<String>, TracedFunction.Body> body,
      FunctionDefLibrary library) {}

  private final List<Variable> variables;
  private final List<ExportedSignature> signatures;
  private final String callable;
  private final Optional<ModelCard> card;
  private final List<OutputDirectory.Writer> extras;
  private final OutputDirectory.Existing existing;

  private SavedModelExporter(Builder builder) {
    variables = List.copyOf(builder.variables);
    signatures = List.copyOf(builder.signatures.values());
    card = Optional.ofNullable(builder.card);
    extras = List.copyOf(builder.extras);
    existing = builder.existing;
    if (signatures.isEmpty()) {
      throw new IllegalStateException("a SavedModel needs at least one signature");
    }
    callable =
        builder.callable != null
            ? builder.callable
            : builder.signatures.containsKey(DEFAULT_SIGNATURE)
                ? DEFAULT_SIGNATURE
                : signatures.get(0).name();
    if (!builder.signatures.containsKey(callable)) {
      throw new IllegalStateException(
          "no signature " + callable + " to call; there are " + builder.signatures.keySet());
    }
  }

  /** Starts a description of what to export. */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Refuses a place for a SavedModel before any work is done for it.
   *
   * @param replace whether a SavedModel that is there may be replaced
   * @throws PerformerException if it is taken
   */
  public static void requireFree(Path directory, boolean replace) {
    OutputDirectory.requireFree(
        directory, replace ? OutputDirectory.Existing.REPLACE : OutputDirectory.Existing.REFUSE);
  }

  /**
   * Writes the SavedModel.
   *
   * @param session runs the variables' graph, which stays as it is
   * @param directory where to write; made, with its parents, if need be
   * @throws PerformerException if the directory is taken or cannot be written; nothing has changed
   *     then
   */
  public void export(Session session, Path directory) {
    for (Variable variable : variables) {
      if (variable.handle().op().env() != session.graph()) {
        throw new IllegalArgumentException(
            "variable " + variable.name() + " is not of the session's graph");
      }
    }
    PythonObjects objects = new PythonObjects(variables);
    SavedModel model;
    try (ExportGraph graph = new ExportGraph(variables, objects)) {
      for (ExportedSignature signature : signatures) {
        graph.add(signature, signature.name().equals(callable));
      }
      model = graph.finish();
    }
    OutputDirectory.write(directory, existing, staging -> write(session, objects, model, staging));
  }

  private void write(Session session, PythonObjects objects, SavedModel model, Path directory)
      throws IOException {
    Files.write(directory.resolve("saved_model.pb"), bytes(model));
    try (VariableValues values = VariableValues.fetch(session, variables)) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      values.tensors().forEach((variable, value) -> tensors.put(objects.key(variable), value));
      SaveRestore.write(
          directory.resolve("variables").resolve("variables"),
          tensors,
          tf ->
              Map.of(
                  CheckpointReader.OBJECT_GRAPH_KEY, ExportGraph.objectGraphConstant(tf, objects)));
    }
    if (card.isPresent()) {
      card.get().write(directory);
    }
    for (OutputDirectory.Writer extra : extras) {
      extra.write(directory);
    }
  }

  /** The same bytes for the same model: attributes are maps, which have no order by themselves. */
  private static byte[] bytes(SavedModel model) throws IOException {
    byte[] bytes = new byte[model.getSerializedSize()];
    CodedOutputStream out = CodedOutputStream.newInstance(bytes);
    out.useDeterministicSerialization();
    model.writeTo(out);
    out.checkNoSpaceLeft();
    return bytes;
  }

  /** Describes what to export. */
  public static final class Builder {
    private final List<Variable> variables = new ArrayList<>();
    private final Map<String, ExportedSignature> signatures = new LinkedHashMap<>();
    private String callable;
    private ModelCard card;
    private final List<OutputDirectory.Writer> extras = new ArrayList<>();
    private OutputDirectory.Existing existing = OutputDirectory.Existing.REFUSE;

    private Builder() {}

    /** Adds variables. All of them are written, whether a signature reads them or not. */
    public Builder variables(List<Variable> added) {
      variables.addAll(added);
      return this;
    }

    /** Adds all variables of a registry. */
    public Builder variables(Variables added) {
      return variables(added.all());
    }

    /**
     * Adds a signature that is built anew.
     *
     * @param name such as {@code serving_default}
     * @param inputs its inputs; use −1 for batch and length; their order is that of Python's {@code
     *     model(...)}
     * @param body adds its ops; the variables must have been given before
     */
    public Builder signature(String name, List<ArgumentSpec> inputs, SignatureBody body) {
      Map<String, ArgumentSpec> specs = new LinkedHashMap<>();
      inputs.forEach(spec -> specs.put(spec.name(), spec));
      return add(
          new ExportedSignature(
              name,
              List.copyOf(specs.keySet()),
              order -> tracing -> trace(tracing, order.stream().map(specs::get).toList(), body),
              FunctionDefLibrary.getDefaultInstance()));
    }

    private Map<String, Operand<?>> trace(
        TracedFunction.Tracing tracing, List<ArgumentSpec> inputs, SignatureBody body) {
      Map<String, Operand<?>> values = new LinkedHashMap<>();
      inputs.forEach(spec -> values.put(spec.name(), tracing.input(spec)));
      Map<String, Operand<?>> read = new LinkedHashMap<>();
      return body.build(
          tracing.tf(),
          values,
          name ->
              read.computeIfAbsent(
                  name, n -> tracing.capture(variable(n)).read(tracing.tf()).asOutput()));
    }

    private Variable variable(String name) {
      return variables.stream()
          .filter(variable -> variable.name().equals(name))
          .findFirst()
          .orElseThrow(
              () ->
                  new IllegalArgumentException(
                      "no variable %s; there are %s"
                          .formatted(name, variables.stream().map(Variable::name).toList())));
    }

    /**
     * Adds a signature that is cut out of the variables' graph.
     *
     * @param name such as {@code serving_default}
     * @param inputs placeholders by the name they shall have in the signature
     * @param outputs outputs that depend on no other placeholder, by name
     */
    public Builder signature(
        String name,
        Map<String, ? extends Operand<?>> inputs,
        Map<String, ? extends Operand<?>> outputs) {
      Map<String, Output<?>> from = new LinkedHashMap<>();
      inputs.forEach((key, value) -> from.put(key, value.asOutput()));
      Map<String, Output<?>> to = new LinkedHashMap<>();
      outputs.forEach((key, value) -> to.put(key, value.asOutput()));
      if (to.isEmpty()) {
        throw new IllegalArgumentException("signature " + name + " has no output");
      }
      Graph graph = (Graph) to.values().iterator().next().op().env();
      return add(
          new ExportedSignature(
              name,
              List.copyOf(from.keySet()),
              order -> {
                Map<String, Output<?>> ordered = new LinkedHashMap<>();
                order.forEach(key -> ordered.put(key, from.get(key)));
                return new GraphCut(graph, ordered, to, variables);
              },
              new GraphCut(graph, from, to, variables).library()));
    }

    private Builder add(ExportedSignature signature) {
      for (String input : signature.inputs()) {
        if (!IDENTIFIER.matcher(input).matches()) {
          throw new IllegalArgumentException(
              "input " + input + " of signature " + signature.name() + " is no Python identifier");
        }
      }
      if (signatures.put(signature.name(), signature) != null) {
        throw new IllegalArgumentException("two signatures are named " + signature.name());
      }
      return this;
    }

    /**
     * Sets which signature {@code model(...)} runs in Python: {@code serving_default} by default,
     * or the first where there is none.
     */
    public Builder callable(String signature) {
      callable = signature;
      return this;
    }

    /** Adds a description that is written beside the model. */
    public Builder card(ModelCard description) {
      card = description;
      return this;
    }

    /**
     * Adds files beside the model, written into its directory before that is moved to its place.
     */
    Builder extra(OutputDirectory.Writer writer) {
      extras.add(writer);
      return this;
    }

    /** Replaces a SavedModel that is already at the place, once the new one is whole. */
    public Builder replaceExisting() {
      existing = OutputDirectory.Existing.REPLACE;
      return this;
    }

    /** The exporter. @throws IllegalStateException if something is missing */
    public SavedModelExporter build() {
      return new SavedModelExporter(this);
    }

    /** As {@code build().export(session, directory)}. */
    public void export(Session session, Path directory) {
      build().export(session, directory);
    }
  }
}
