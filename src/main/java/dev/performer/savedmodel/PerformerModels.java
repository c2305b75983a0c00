package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;
import static dev.performer.savedmodel.ImportedModel.DEFAULT_SIGNATURE;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.CheckpointReader;
import dev.performer.graph.SaveRestore;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.AttentionConfig;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat32;

/**
 * SavedModels of a {@link Performer}, which their {@link ModelCard#config} allows to build again.
 */
public final class PerformerModels {
  /** The folder inside a SavedModel for the state of the optimizer that trained it. */
  public static final Path OPTIMIZER = Path.of("assets.extra", "optimizer");

  private PerformerModels() {}

  /** A model that was read; its weights are all its variables by name, projections included. */
  public record Saved(PerformerConfig config, Map<String, NpyArray> weights, ModelCard card) {}

  /** As {@link #write(PerformerConfig, Map, ModelCard, Map, Path, boolean)} without optimizer. */
  public static void write(
      PerformerConfig config,
      Map<String, NpyArray> weights,
      ModelCard card,
      Path target,
      boolean replace) {
    write(config, weights, card, Map.of(), target, replace);
  }

  /**
   * Writes a SavedModel and, beside it, the state of an optimizer.
   *
   * @param weights all variables of {@link Performer#shapes}, float32
   * @param card its config is filled in, all of it where it is null
   * @param optimizer float32 and int64 by checkpoint key; empty for none
   * @throws PerformerException listing weights that do not fit, or if the target is taken or cannot
   *     be written; nothing is written then
   */
  public static void write(
      PerformerConfig config,
      Map<String, NpyArray> weights,
      ModelCard card,
      Map<String, NpyArray> optimizer,
      Path target,
      boolean replace) {
    requireFit(config, weights, "");
    if (card == null) {
      card = ModelCard.of(config.attentionOf(0), null, languageModel(config, null), null);
    }
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.shapes(config)
          .forEach(
              (name, s) -> variables.declare(name, TFloat32.class, s, Performer.isTrainable(name)));
      assign(tf, session, variables.all(), weights);
      Performer model = Performer.over(config, variables::get);
      var exporter = SavedModelExporter.builder().variables(variables.all());
      exporter.card(card.withConfig(config.toJson()));
      for (var s : new PerformerSignatures(tf, model, variables::get, card).all()) {
        exporter.signature(s.name(), s.inputs(), s.outputs());
      }
      if (!optimizer.isEmpty()) {
        exporter.extra(staging -> writeOptimizer(staging, optimizer));
      }
      if (replace) {
        exporter.replaceExisting();
      }
      exporter.export(session, target);
    }
  }

  private static void writeOptimizer(Path model, Map<String, NpyArray> values) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try {
      values.forEach(
          (key, value) -> {
            var type = value.type() == NpyType.INT64 ? DataType.DT_INT64 : DataType.DT_FLOAT;
            Shape shape = Shape.of(value.shape());
            tensors.put(key, Tensors.ofBytes(type, shape, value.buffer()));
          });
      SaveRestore.write(
          model.resolve(OPTIMIZER).resolve("variables"), tensors, Map.of(), tf -> Map.of());
    } finally {
      tensors.values().forEach(Tensor::close);
    }
  }

  /** The prefix of the checkpoint of the optimizer that trained a SavedModel, if it has one. */
  public static Optional<Path> optimizer(Path model) {
    Path prefix = model.resolve(OPTIMIZER).resolve("variables");
    return CheckpointReader.exists(prefix) ? Optional.of(prefix) : Optional.empty();
  }

  private static void requireFit(
      PerformerConfig config, Map<String, NpyArray> weights, String place) {
    Map<String, Shape> shapes = Performer.shapes(config);
    List<String> problems = new ArrayList<>();
    shapes.forEach(
        (name, shape) -> {
          NpyArray value = weights.get(name);
          if (value == null) {
            problems.add(name + " is missing");
          } else if (!Shape.of(value.shape()).equals(shape)) {
            problems.add(name + " is " + value + ", expected " + TensorSpec.shapeText(shape));
          } else if (value.type() != NpyType.FLOAT32) {
            problems.add(name + " is " + value.type().label() + ", expected float32");
          }
        });
    Set<String> others = new LinkedHashSet<>(weights.keySet());
    others.removeAll(shapes.keySet());
    others.forEach(name -> problems.add(name + " is not a weight of this model"));
    if (!problems.isEmpty()) {
      throw new PerformerException(place + "the weights do not fit the configuration", problems);
    }
  }

  /** Sets float32 variables by name, one at a time, so that no constant of the graph is large. */
  public static void assign(
      Ops tf, Session session, List<Variable> variables, Map<String, NpyArray> weights) {
    List<Operand<TFloat32>> values = new ArrayList<>();
    List<Op> assigns = new ArrayList<>(); // all before the first run: adding between runs is slow
    for (Variable variable : variables) {
      values.add(tf.placeholder(TFloat32.class, Placeholder.shape(variable.shape())));
      assigns.add(Variables.assign(tf, variable, values.get(assigns.size())));
    }
    for (int i = 0; i < variables.size(); i++) {
      Variable variable = variables.get(i);
      NpyArray array = weights.get(variable.name());
      try (Tensor tensor = Tensors.ofBytes(DataType.DT_FLOAT, variable.shape(), array.buffer())) {
        session.runner().feed(values.get(i), tensor).addTarget(assigns.get(i)).run().close();
      }
    }
  }

  public static Map<String, NpyArray> values(Session session, List<Variable> variables) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    try (Variables.Values values = Variables.fetch(session, variables)) {
      values
          .tensors()
          .forEach((v, t) -> arrays.put(v.name(), ArrayConversion.toArray(v.name(), t)));
    }
    return arrays;
  }

  /**
   * How a model is used as a language model; null if it is none. One that sees padding, because
   * nothing masks it, is fed sequences of the length that it was trained with.
   */
  public static ModelCard.LanguageModel languageModel(
      PerformerConfig config, ModelCard.Masking masking) {
    boolean isCausal = config.task() == Task.CAUSAL_LM;
    if (!isCausal && config.task() != Task.MASKED_LM) {
      return null;
    }
    return new ModelCard.LanguageModel(
        DEFAULT_SIGNATURE,
        PerformerSignatures.TOKENS,
        null,
        PerformerSignatures.LOGITS,
        isCausal ? ModelCard.Objective.CAUSAL_LM : ModelCard.Objective.MASKED_LM,
        isCausal ? config.shiftBos() != null : null,
        isCausal ? null : masking,
        longest(config),
        paddedLength(config),
        null);
  }

  /** Tokens of a sequence at most; null for no limit. */
  public static Integer longest(PerformerConfig config) {
    return config.hasLastPosition() ? config.maxLength() : null;
  }

  /** What sequences are padded to where padding is seen; null where it is not. */
  public static Integer paddedLength(PerformerConfig config) {
    return seesPadding(config) ? config.maxLength() : null;
  }

  private static boolean seesPadding(PerformerConfig config) {
    boolean isMasked = config.padId() != null;
    Predicate<AttentionConfig> seesPadding =
        attention ->
            attention instanceof AttentionConfig.Favor favor
                ? !(isMasked && favor.config().maskKeys()) && looksAhead(favor.config())
                : !isMasked && !attention.isCausal();
    return IntStream.range(0, config.layers()).mapToObj(config::attentionOf).anyMatch(seesPadding);
  }

  /** A maximum over all keys leaks even where attention is causal. */
  private static boolean looksAhead(FavorConfig favor) {
    return !favor.causal() || favor.convention().couplesPositions(favor.kernel());
  }

  public static Optional<PerformerConfig> config(Path model) {
    return ModelCard.read(model)
        .map(ModelCard::config)
        .map(config -> PerformerConfig.of(config, model.resolve(ModelCard.FILE) + ": config"));
  }

  public static PerformerConfig requireConfig(Path model) {
    String message =
        "%s: does not say how it is built (no config in %s), as only models of './performer import'"
            + " and 'train' do; import the checkpoint that it was made from";
    return config(model)
        .orElseThrow(() -> new PerformerException(message.formatted(model, ModelCard.FILE)));
  }

  public static Saved load(Path model) {
    SavedModelDirectory directory = SavedModelDirectory.open(model);
    PerformerConfig config = requireConfig(model);
    String frozen =
        "%s: its weights are constants of the graph, as it was frozen; take the model that it was exported from";
    require(!directory.variables().isEmpty(), frozen, model);
    Set<String> names = Performer.shapes(config).keySet();
    Map<String, NpyArray> weights = new LinkedHashMap<>();
    try (CheckpointReader reader = CheckpointReader.open(directory.variablesPrefix())) {
      for (VariableSpec variable : directory.variables()) {
        if (names.contains(variable.name())) {
          try (Tensor tensor = reader.tensor(variable.checkpointKey())) {
            weights.put(variable.name(), ArrayConversion.toArray(variable.name(), tensor));
          }
        }
      }
    }
    requireFit(config, weights, model + ": ");
    return new Saved(config, Map.copyOf(weights), ModelCard.read(model).orElseThrow());
  }
}
