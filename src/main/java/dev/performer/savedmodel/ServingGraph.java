package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;
import static java.util.stream.Collectors.toMap;
import static java.util.stream.Collectors.toSet;

import dev.performer.PerformerException;
import dev.performer.attention.MachineTuning;
import dev.performer.graph.FlatGraph;
import dev.performer.graph.GraphProtos;
import dev.performer.graph.NarrowWeights;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.TensorNames;
import dev.performer.graph.Variable;
import dev.performer.graph.VariableValues;
import dev.performer.graph.Variables;
import dev.performer.savedmodel.ModelCard.LanguageModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.CollectionDef;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.MetaGraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.SavedModel;
import org.tensorflow.proto.SignatureDef;
import org.tensorflow.proto.TensorInfo;

/**
 * Any SavedModel as one flat graph of its signatures in a {@link ServingForm}. Owns the graph and
 * the session with the variables' values.
 */
public final class ServingGraph implements AutoCloseable {
  // A protocol buffer holds 2 GiB; the graph itself needs some of it.
  private static final long MOST_CONSTANT_BYTES = (1L << 31) - (64L << 20);
  private static final List<String> INITIALIZERS = List.of("saved_model_main_op", "legacy_init_op");

  private final SavedModelDirectory directory;
  private final ServingForm form;
  private final FlatModel model;
  private final List<SignatureSpec> signatures;
  private final FlatGraph flat;
  private final GraphDef definition;
  private final Optional<String> initializer;
  private final List<VariableSpec> specs;
  private final Graph graph = new Graph();
  private Session session;

  private ServingGraph(SavedModelDirectory directory, ServingForm form) {
    this.directory = directory;
    this.form = form;
    model = FlatModel.of(directory, form.signatures());
    signatures = model.signatures();
    flat = model.flat();
    initializer = model.initializer();
    specs = model.variables();
    require(
        !model.hasTables() || form.frozen(),
        "%s has lookup tables, which only a frozen graph keeps in another form; freeze it as well",
        directory.path());
    GraphDef read = model.definition();
    GraphDef sized = form.batch() == null ? read : sized(read);
    definition =
        form.precision() == ServingForm.Precision.BFLOAT16
            ? NarrowWeights.apply(sized, narrowed(sized))
            : sized;
  }

  /**
   * Writes a model in another form, with its card. Where sizes are fixed and no signatures are
   * named, those that cannot have fixed sizes are left out.
   *
   * @return one line for each signature that was left out
   * @throws PerformerException in one line where the model does not allow the form, or the target
   *     is taken or cannot be written
   */
  public static List<String> export(SavedModelDirectory model, ServingForm form, Path target) {
    Optional<ModelCard> card = ModelCard.read(model.path());
    Integer most = card.map(ModelCard::languageModel).map(LanguageModel::maxLength).orElse(null);
    boolean fits = form.length() == null || most == null || form.length() <= most;
    require(fits, "%s takes %s tokens at most, not %s", model.path(), most, form.length());
    List<String> notes = new ArrayList<>();
    ServingForm fitting = form;
    while (true) {
      try (ServingGraph serving = of(model, fitting)) {
        OutputDirectory.write(target, false, card.orElse(null), serving::write);
        return notes;
      } catch (OpenSizeException e) {
        List<String> others = new ArrayList<>(model.signatures().keySet());
        others.retainAll(fitting.signatures().isEmpty() ? others : fitting.signatures());
        others.remove(e.signature);
        if (!form.signatures().isEmpty() || others.isEmpty()) {
          throw e.in(model.path());
        }
        notes.add("the signature " + e.signature + " is left out: " + e.getMessage());
        fitting = fitting.keeping(others);
      } catch (RuntimeException e) {
        String text = model.path() + " cannot be written for serving: ";
        throw e instanceof PerformerException known
            ? known.in(model.path())
            : new PerformerException(text + NativeErrors.firstLine(e), e);
      }
    }
  }

  /** A signature cannot have fixed sizes. */
  private static final class OpenSizeException extends PerformerException {
    private static final long serialVersionUID = 1;

    private final String signature;

    OpenSizeException(SignatureSpec signature, String message) {
      super(message);
      this.signature = signature.name();
    }
  }

  private static ServingGraph of(SavedModelDirectory directory, ServingForm form) {
    ServingGraph serving = null;
    try {
      serving = new ServingGraph(directory, form);
      serving.load();
      return serving;
    } catch (RuntimeException e) {
      if (serving != null) {
        serving.close();
      }
      throw e;
    }
  }

  /** Trainable matrices: not the small vectors, nor projections of random features. */
  private Set<String> narrowed(GraphDef read) {
    Set<String> readable = VariableValues.onlyRead(read);
    Set<String> narrowed =
        specs.stream()
            .filter(VariableSpec::trainable)
            .filter(v -> v.type() == DataType.DT_FLOAT && v.shape().numDimensions() > 1)
            .map(VariableSpec::node)
            .filter(readable::contains)
            .collect(toSet());
    String none = "%s has no trainable float32 matrix that could be stored as bfloat16";
    require(!narrowed.isEmpty(), none, directory.path());
    return narrowed;
  }

  private GraphDef sized(GraphDef read) {
    Map<String, Shape> sizes = new LinkedHashMap<>();
    boolean hasLength = false;
    for (SignatureSpec signature : signatures) {
      for (TensorSpec input : signature.inputs().values()) {
        Shape shape = fixed(signature, input);
        int rank = shape.numDimensions();
        hasLength |= rank > 1 && !input.shape().equals(shape) && openAfterBatch(input);
        sizes.put(TensorNames.node(flat.resolve(input.tensor())), shape);
      }
    }
    String none = "%s has no input with an open length; give the batch size alone";
    require(form.length() == null || hasLength, none, directory.path());
    GraphDef.Builder sized = read.toBuilder();
    for (NodeDef.Builder node : sized.getNodeBuilderList()) {
      node.removeAttr("_output_shapes");
      Shape shape = sizes.get(node.getName());
      if (shape != null && node.containsAttr("shape")) {
        var fixed = AttrValue.newBuilder().setShape(GraphProtos.shape(shape)).build();
        node.putAttr("shape", fixed);
      }
    }
    return sized.build();
  }

  private static boolean openAfterBatch(TensorSpec input) {
    for (int axis = 1; axis < input.shape().numDimensions(); axis++) {
      if (input.shape().get(axis) < 0) {
        return true;
      }
    }
    return false;
  }

  private Shape fixed(SignatureSpec signature, TensorSpec input) {
    String what = "the input %s of the signature %s".formatted(input, signature.name());
    if (input.shape().isUnknown()) {
      throw new OpenSizeException(signature, what + " has no number of dimensions to fix");
    }
    long[] sizes = input.shape().asArray();
    boolean isOpen = sizes.length == 0 || sizes[0] < 0 || sizes[0] == form.batch();
    require(isOpen, "%s has a batch of its own, not %s", what, form.batch());
    if (sizes.length > 0) {
      sizes[0] = form.batch();
    }
    for (int axis = 1; axis < sizes.length; axis++) {
      boolean isGiven = sizes[axis] >= 0 || form.length() != null;
      require(isGiven, "%s has an open length; give that, too", what);
      boolean isTokens = !input.isFloat() && sizes.length == 2;
      boolean fits = sizes[axis] < 0 || !isTokens || form.length() == null;
      require(fits || sizes[axis] == form.length(), "%s is not of length %s", what, form.length());
      sizes[axis] = sizes[axis] < 0 ? form.length() : sizes[axis];
    }
    return Shape.of(sizes);
  }

  private void load() {
    graph.importGraphDef(definition);
    for (SignatureSpec signature : form.batch() == null ? List.<SignatureSpec>of() : signatures) {
      for (TensorSpec output : signature.outputs().values()) {
        Shape shape = output(output).shape();
        if (shape.hasUnknownDimension()) {
          String text =
              "the output %s is %s where inputs have fixed sizes: its size depends on values";
          String found = TensorSpec.shapeText(shape);
          throw new OpenSizeException(signature, text.formatted(output.name(), found));
        }
      }
    }
    MachineTuning.settleThreads();
    session = model.restored(graph);
  }

  private Output<?> output(TensorSpec spec) {
    return model.tensor(graph, spec);
  }

  private List<Variable> variables() {
    return model.variables(graph);
  }

  private void write(Path target) throws IOException {
    if (form.frozen()) {
      Files.write(target.resolve(SavedModelDirectory.GRAPH_FILE), frozen().toByteArray());
      copyAssets(target);
    } else {
      var exporter = model.exporter(graph, variables());
      exporter.replaceExisting().export(session, target);
    }
  }

  private void copyAssets(Path target) throws IOException {
    for (Path asset : initializer.isPresent() ? directory.assets().values() : Set.<Path>of()) {
      Path copy = target.resolve(directory.path().relativize(asset).toString());
      Files.createDirectories(copy.getParent());
      Files.copy(asset, copy);
    }
  }

  private SavedModel frozen() {
    long bytes = 0;
    for (VariableSpec spec : specs) {
      bytes += spec.size() * (spec.type() == DataType.DT_DOUBLE ? 8 : 4);
    }
    String large = "%s has %d MB of weights; a graph with constants takes 2 GB: keep the variables";
    require(bytes < MOST_CONSTANT_BYTES, large, directory.path(), bytes >> 20);
    MetaGraphDef original = directory.metaGraph();
    var meta = MetaGraphDef.newBuilder();
    meta.getMetaInfoDefBuilder()
        .addTags(SavedModelDirectory.SERVE)
        .setTensorflowVersion(original.getMetaInfoDef().getTensorflowVersion());
    meta.setGraphDef(specs.isEmpty() ? definition : withConstants());
    Map<String, SignatureDef> definitions = new TreeMap<>();
    signatures.forEach(
        s -> definitions.put(s.name(), resolved(original.getSignatureDefOrThrow(s.name()))));
    meta.putAllSignatureDef(definitions);
    if (initializer.isPresent()) {
      String node = TensorNames.node(flat.resolve("^" + TensorNames.node(initializer.get())));
      var nodes = CollectionDef.NodeList.newBuilder().addValue(node);
      var collection = CollectionDef.newBuilder().setNodeList(nodes).build();
      meta.putCollectionDef(INITIALIZERS.get(0), collection);
      for (var asset : original.getAssetFileDefList()) {
        var copy = asset.toBuilder();
        String tensor = asset.getTensorInfo().getName();
        copy.getTensorInfoBuilder().setName(full(flat.resolve(tensor)));
        meta.addAssetFileDef(copy);
      }
    }
    return SavedModel.newBuilder().setSavedModelSchemaVersion(1).addMetaGraphs(meta).build();
  }

  private GraphDef withConstants() {
    try (Variables.Values values = Variables.fetch(session, variables())) {
      Map<String, Tensor> byHandle =
          values.tensors().entrySet().stream()
              .collect(toMap(e -> e.getKey().handle().op().name(), Map.Entry::getValue));
      return VariableValues.frozen(definition, byHandle);
    }
  }

  private SignatureDef resolved(SignatureDef signature) {
    SignatureDef.Builder resolved = signature.toBuilder();
    signature.getInputsMap().forEach((name, info) -> resolved.putInputs(name, resolved(info)));
    signature.getOutputsMap().forEach((name, info) -> resolved.putOutputs(name, resolved(info)));
    return resolved.build();
  }

  private TensorInfo resolved(TensorInfo info) {
    String tensor = flat.resolve(info.getName());
    TensorInfo.Builder named = info.toBuilder().setName(full(tensor));
    if (form.batch() != null) {
      named.setTensorShape(GraphProtos.shape(graph.outputOrThrow(tensor).shape()));
    }
    return named.build();
  }

  private static String full(String tensor) {
    return TensorNames.node(tensor) + ":" + TensorNames.index(tensor);
  }

  /** Frees graph and session. */
  @Override
  public void close() {
    if (session != null) {
      session.close();
    }
    graph.close();
  }
}
