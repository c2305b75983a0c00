package dev.performer.serving;

import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.RecurrentDecoder;
import dev.performer.nn.Dense;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Dense.Rows;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.VariableSpec;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A decoder's step over weights that are constants of a graph: what follows from weights alone is
 * computed once, products with one input are one, and kernels keep weights in the order in which
 * they read them. States of sums are only read; a few positions wait beside them until {@link
 * #settle} takes all of them in at once.
 */
final class ConstantStep implements AutoCloseable {
  /** Positions that wait at most. More would make each step dearer than it makes settling rarer. */
  static final int LONGEST_WAIT = 8;

  // Constants are held about three times.
  private static final long MOST_BYTES = 256L << 20;

  private final Graph graph = new Graph();
  private final Session session;
  private final Operand<TInt32> token;
  private final Operand<TInt32> position;
  private final Map<String, Operand<TFloat32>> inputs = new LinkedHashMap<>();
  private final Map<String, Shape> waiting;
  private final RecurrentDecoder.Advance few;
  private final RecurrentDecoder.Advance many; // over the same constants in another order
  private final Map<String, Operand<TFloat32>> settled = new LinkedHashMap<>();

  /** Logits {@code [B, V]}, and tensors by name, which {@code owner} closes. */
  record Outcome(float[] logits, Map<String, Tensor> tensors, AutoCloseable owner) {}

  private ConstantStep(PerformerConfig config, Map<String, NpyArray> weights, Precision precision) {
    Ops tf = Ops.create(graph);
    Map<String, Variable> constants = new HashMap<>();
    Performer.shapes(config)
        .forEach(
            (name, shape) -> {
              try (Tensor value =
                  Tensors.ofBytes(DataType.DT_FLOAT, shape, weights.get(name).buffer())) {
                var constant = tf.constantOf((TFloat32) value).asOutput();
                constants.put(
                    name, new Variable(name, constant, TFloat32.class, shape, false, name));
              }
            });
    Function<Rows, RecurrentDecoder> over =
        rows ->
            new RecurrentDecoder(tf, Performer.constant(config, constants::get, precision, rows));
    var decoder = over.apply(Rows.FEW);
    token = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    position = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1)));
    var states = placeholders(tf, decoder.states());
    waiting = decoder.waiting();
    var late = placeholders(tf, waiting);
    inputs.putAll(states);
    inputs.putAll(late);
    few = decoder.defer(tf, token, position, states, late);
    many =
        precision == Precision.FLOAT32
            ? over.apply(Rows.MANY).defer(tf, token, position, states, late)
            : few;
    decoder
        .settle(tf, states, late)
        .forEach(
            (name, value) -> {
              if (value != states.get(name)) {
                settled.put(name, value);
              }
            });
    session = new Session(graph);
  }

  private static Map<String, Operand<TFloat32>> placeholders(Ops tf, Map<String, Shape> shapes) {
    Map<String, Operand<TFloat32>> made = new LinkedHashMap<>();
    shapes.forEach(
        (name, shape) -> made.put(name, tf.placeholder(TFloat32.class, Placeholder.shape(shape))));
    return made;
  }

  /**
   * Of a model whose variables are those of its configuration, in float32 or bfloat16; empty for
   * any other, and where constants would take too much memory.
   */
  static Optional<ConstantStep> of(SavedModelPredictor model, PerformerConfig config) {
    Map<String, Shape> shapes = Performer.shapes(config);
    List<VariableSpec> variables = model.directory().variables();
    Map<String, Shape> found = new HashMap<>();
    variables.forEach(variable -> found.put(variable.name(), variable.shape()));
    long bytes = shapes.values().stream().mapToLong(shape -> Float.BYTES * shape.size()).sum();
    if (!found.equals(shapes) || bytes > MOST_BYTES) {
      return Optional.empty();
    }
    boolean isNarrow = variables.stream().anyMatch(v -> v.type() == DataType.DT_BFLOAT16);
    Precision precision = isNarrow ? Precision.BFLOAT16 : Precision.FLOAT32;
    return Optional.of(new ConstantStep(config, model.values(), precision));
  }

  /** What waits where nothing does, for so many texts. The caller closes its tensors. */
  Map<String, Tensor> nothing(int rows) {
    Map<String, Tensor> empty = new LinkedHashMap<>();
    waiting.forEach(
        (name, shape) -> {
          long[] sizes = shape.asArray();
          sizes[0] = rows;
          sizes[2] = 0;
          empty.put(name, TFloat32.tensorOf(Shape.of(sizes)));
        });
    return empty;
  }

  /** Reads one token of each text: what waits then, and the states of which nothing waits. */
  Outcome step(
      int[] tokens,
      int[] positions,
      Map<String, Tensor> known,
      Function<Session.Runner, Result> run) {
    var advance = tokens.length < Dense.MANY_ROWS ? few : many;
    List<String> names = List.copyOf(advance.states().keySet());
    try (Tensor ids = Tensors.of(tokens, tokens.length);
        Tensor at = Tensors.of(positions, positions.length)) {
      Session.Runner runner =
          session.runner().feed(token, ids).feed(position, at).fetch(advance.logits());
      inputs.forEach((name, input) -> runner.feed(input, known.get(name)));
      names.forEach(name -> runner.fetch(advance.states().get(name)));
      Result result = run.apply(runner);
      return new Outcome(Tensors.floats(result.get(0)), named(result, names, 1), result);
    }
  }

  /** The states that have taken in what waited; nothing where no state waits. */
  Outcome settle(Map<String, Tensor> known, Function<Session.Runner, Result> run) {
    List<String> names = List.copyOf(settled.keySet());
    if (names.isEmpty()) {
      return new Outcome(null, Map.of(), () -> {});
    }
    Session.Runner runner = session.runner();
    inputs.forEach((name, input) -> runner.feed(input, known.get(name)));
    names.forEach(name -> runner.fetch(settled.get(name)));
    Result result = run.apply(runner);
    return new Outcome(null, named(result, names, 0), result);
  }

  private static Map<String, Tensor> named(Result result, List<String> names, int first) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (String name : names) {
      tensors.put(name, result.get(first + tensors.size()));
    }
    return tensors;
  }

  @Override
  public void close() {
    session.close();
    graph.close();
  }
}
