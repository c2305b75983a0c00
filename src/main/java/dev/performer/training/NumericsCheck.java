package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.training.optim.Gradients;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * Finds out where a step went wrong, with the weights as they were before it: the first weight,
 * layer or gradient that is not finite, or else the variable with the largest gradient. Adds ops to
 * the graph.
 *
 * @param number of the step
 */
record NumericsCheck(
    TrainerStep step, Session session, long number, List<LabelledBatch> batches, double rate) {
  private static final int OPS_PER_RUN = 500;
  private static final Set<DataType> FLOATING = Set.of(DataType.DT_FLOAT, DataType.DT_DOUBLE);

  /** The error of a run whose loss or gradient exploded. @param byOp whether to find the op, too */
  PerformerException diverged(String what, boolean byOp, Path checkpoint, RuntimeException cause) {
    String text =
        "training diverged at step %d: %s; %s; the last good checkpoint is %s; lower the learning"
            + " rate (now %.3g) and resume";
    String where = where(byOp);
    long failed = number + (cause == null ? 0 : 1); // a loss is looked at after its step
    text = String.format(Locale.ROOT, text, failed, what, where, checkpoint, rate);
    return new PerformerException(text, cause);
  }

  private String where(boolean byOp) {
    try {
      for (int part = 0; part < batches.size(); part++) {
        LabelledBatch batch = batches.get(part);
        Optional<String> found = first(named(), batch, part);
        if (found.isPresent()) {
          String op = byOp ? first(ops(), batch, part).map(o -> ", " + o).orElse("") : "";
          String hint = byOp ? "" : "; debugNumerics finds the op";
          return "first not finite: " + found.get() + op + hint;
        }
      }
      return "the largest gradient is that of " + largest(batches.get(0));
    } catch (RuntimeException e) {
      return "where it began could not be found (" + NativeErrors.firstLine(e) + ")";
    }
  }

  private Map<String, Output<?>> named() {
    Ops tf = Ops.create(step.model().graph()).withSubScope("numerics");
    Map<String, Output<?>> named = new LinkedHashMap<>();
    var model = step.model();
    model.variables().forEach(v -> named.put("the variable " + v.name(), v.read(tf).asOutput()));
    model.activations().forEach((name, output) -> named.put("the output of " + name, output));
    named.put("the loss", model.loss());
    Gradients found = step.optimizer().gradients();
    for (int i = 0; i < found.values().size(); i++) {
      named.put("the gradient of " + found.variables().get(i).name(), found.values().get(i));
    }
    return named;
  }

  /** Floating point outputs of all that the loss or a gradient depends on, in order of making. */
  private Map<String, Output<?>> ops() {
    List<Output<?>> ends = new ArrayList<>(step.optimizer().gradients().values());
    ends.add(step.model().loss());
    var behind = Gradients.ancestors(ends, false).keySet();
    Map<String, Output<?>> outputs = new LinkedHashMap<>();
    Map<String, Integer> latest = new HashMap<>();
    List<String> variables = new ArrayList<>();
    for (var all = step.model().graph().operations(); all.hasNext(); ) {
      var operation = all.next();
      if (!behind.contains(operation.name())) {
        continue;
      }
      int own = -1; // the last variable that went into it
      for (Operand<?> input : operation.inputs()) {
        own = Math.max(own, latest.get(input.asOutput().op().name()));
      }
      if (operation.type().equals("VarHandleOp")) {
        own = variables.size();
        variables.add(operation.name());
      }
      latest.put(operation.name(), own);
      String near = own < 0 ? "" : ", after " + variables.get(own);
      for (int i = 0; i < operation.numOutputs(); i++) {
        if (FLOATING.contains(operation.output(i).dataType())) {
          String name = "op %s:%d (%s%s)".formatted(operation.name(), i, operation.type(), near);
          outputs.put(name, operation.output(i));
        }
      }
    }
    return outputs;
  }

  private Optional<String> first(Map<String, Output<?>> candidates, LabelledBatch batch, int part) {
    Ops tf = Ops.create(step.model().graph()).withSubScope("finite");
    List<String> names = List.copyOf(candidates.keySet());
    for (int from = 0; from < names.size(); from += OPS_PER_RUN) {
      List<String> some = names.subList(from, Math.min(names.size(), from + OPS_PER_RUN));
      var probes = some.stream().map(name -> probe(tf, candidates.get(name))).toList();
      try (Feed feed = step.feed(step.model().first(batch), number, part);
          var result = feed.run(session, probes)) {
        for (int i = 0; i < some.size(); i++) {
          if (!Double.isFinite(Tensors.doubles(result.get(i))[0])) {
            return Optional.of(some.get(i));
          }
        }
      }
    }
    return Optional.empty();
  }

  /** A number that is finite where all are: a sine is bounded, and NaN for what is not finite. */
  @SuppressWarnings({"unchecked", "rawtypes"})
  private static Output<TFloat64> probe(Ops tf, Output<?> x) {
    Operand<TFloat64> sines = tf.math.sin(tf.dtypes.cast((Operand) x, TFloat64.class));
    return tf.reduceSum(tf.reshape(sines, tf.constant(new int[] {-1})), tf.constant(0)).asOutput();
  }

  private String largest(LabelledBatch batch) {
    Ops tf = Ops.create(step.model().graph()).withSubScope("largest");
    List<Output<?>> halves = new ArrayList<>();
    for (Output<?> gradient : step.optimizer().gradients().values()) {
      halves.add(tf.nn.l2Loss(gradient.expect(TFloat32.class)).asOutput());
    }
    try (Feed feed = step.feed(step.model().first(batch), number, 0);
        var result = feed.run(session, halves)) {
      var norm = Comparator.<Integer>comparingDouble(i -> Tensors.floats(result.get(i))[0]);
      int largest = IntStream.range(0, halves.size()).boxed().max(norm).orElseThrow();
      return step.optimizer().gradients().variables().get(largest).name();
    }
  }
}
