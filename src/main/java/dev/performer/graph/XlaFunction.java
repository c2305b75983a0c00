package dev.performer.graph;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.GraphOptions;
import org.tensorflow.proto.RewriterConfig;

/**
 * Part of a graph that XLA compiles as a whole, or fails: the proof that a computation can run
 * where only XLA runs. On a CPU it is seldom faster.
 */
public final class XlaFunction {
  private static final AtomicLong COUNT = new AtomicLong();
  private static final Pattern UNSUPPORTED =
      Pattern.compile("No registered '(\\w+)' OpKernel for (XLA_\\w+)");

  // Its results are axes, which XLA computes when it compiles.
  private static final String AXES_OP = "BroadcastGradientArgs";

  /** Adds the ops to compile. */
  @FunctionalInterface
  public interface Body {
    /**
     * @param tf where to add ops
     * @param inputs the inputs, seen from inside
     * @param variables the variables, seen from inside: they may be read and updated
     * @return the outputs, at least one
     */
    List<? extends Operand<?>> build(Ops tf, List<Output<?>> inputs, List<Variable> variables);
  }

  /** What shapes are allowed inside. */
  public enum Shapes {
    /** Whatever XLA's CPU compiler takes, which includes some sizes that depend on the data. */
    ANY,
    /** Every tensor's shape must be known when the graph is built, as a TPU demands. */
    STATIC
  }

  private XlaFunction() {}

  /**
   * Adds a compiled call.
   *
   * @param tf the calling graph
   * @param inputs values that go in; with {@link Shapes#STATIC} their shapes must be static
   * @param variables variables that are read or updated inside
   * @param shapes what shapes are allowed inside
   * @param body adds the ops; called once, now
   * @return the outputs
   * @throws PerformerException if an op inside has no kernel for XLA, or a shape is not static: the
   *     message names the op
   */
  public static List<Output<?>> call(
      Ops tf,
      List<? extends Operand<?>> inputs,
      List<Variable> variables,
      Shapes shapes,
      Body body) {
    String name = "xla_" + COUNT.incrementAndGet();
    try (TracedFunction function =
        TracedFunction.trace(name, tracing -> trace(tracing, inputs, variables, shapes, body))) {
      List<Output<?>> handles = new ArrayList<>();
      function.captured().forEach(variable -> handles.add(variable.handle()));
      Operation call = function.call(tf, name, inputs, handles, true);
      List<Output<?>> outputs = new ArrayList<>();
      for (int i = 0; i < function.outputs().size(); i++) {
        outputs.add(call.output(i));
      }
      return outputs;
    }
  }

  /**
   * Adds a compiled call of a part of the graph that is there already; what it computed stays, too,
   * and costs nothing where nobody fetches it.
   *
   * @param tf the graph that is cut
   * @param inputs where the part begins: first outputs of their operations, any shapes. Each new
   *     combination of sizes is compiled anew when it first comes
   * @param values what goes in there, one for each of {@code inputs}, which may be the same
   * @param outputs what is computed; what they depend on by control dependencies is part of it
   * @param variables the graph's variables; those that the part needs are read or updated inside
   * @return the outputs, in order
   * @throws PerformerException if an op of the part has no kernel for XLA: the message names it
   */
  public static List<Output<?>> cut(
      Ops tf,
      List<? extends Output<?>> inputs,
      List<? extends Output<?>> values,
      List<? extends Output<?>> outputs,
      List<Variable> variables) {
    Map<String, Output<?>> in = new LinkedHashMap<>();
    inputs.forEach(input -> in.put("input_" + in.size(), input));
    Map<String, Output<?>> out = new LinkedHashMap<>();
    outputs.forEach(output -> out.put("output_" + out.size(), output));
    GraphCut cut = new GraphCut((Graph) tf.scope().env(), in, out, variables);
    String name = "xla_" + COUNT.incrementAndGet();
    try (TracedFunction function =
        TracedFunction.trace(
            name,
            tracing -> {
              Map<String, Operand<?>> built = cut.build(tracing);
              requireKernels(tracing.graph());
              return built;
            })) {
      List<Output<?>> handles = new ArrayList<>();
      function.captured().forEach(variable -> handles.add(variable.handle()));
      Operation call = function.call(tf, name, values, handles, true);
      List<Output<?>> called = new ArrayList<>();
      for (int i = 0; i < outputs.size(); i++) {
        called.add(call.output(i));
      }
      return called;
    }
  }

  /**
   * How a session must be configured that runs compiled functions: TensorFlow's own optimizer
   * otherwise brings ops into large ones that XLA cannot compile, such as TemporaryVariable.
   */
  public static ConfigProto sessionConfig() {
    RewriterConfig rewrites =
        RewriterConfig.newBuilder()
            .setMemoryOptimization(RewriterConfig.MemOptType.NO_MEM_OPT)
            .setRemapping(RewriterConfig.Toggle.OFF)
            .build();
    return ConfigProto.newBuilder()
        .setGraphOptions(GraphOptions.newBuilder().setRewriteOptions(rewrites))
        .build();
  }

  private static Map<String, Operand<?>> trace(
      TracedFunction.Tracing tracing,
      List<? extends Operand<?>> inputs,
      List<Variable> variables,
      Shapes shapes,
      Body body) {
    List<Output<?>> inside = new ArrayList<>();
    for (Operand<?> input : inputs) {
      Output<?> output = input.asOutput();
      inside.add(
          tracing
              .input(new ArgumentSpec("input_" + inside.size(), output.type(), output.shape()))
              .asOutput());
    }
    List<Variable> variablesInside = variables.stream().map(tracing::capture).toList();
    Map<String, Operand<?>> outputs = new LinkedHashMap<>();
    for (Operand<?> output : body.build(tracing.tf(), inside, variablesInside)) {
      outputs.put("output_" + outputs.size(), output);
    }
    requireKernels(tracing.graph());
    if (shapes == Shapes.STATIC) {
      requireStaticShapes(tracing.graph());
    }
    return outputs;
  }

  private static void requireKernels(Graph graph) {
    RegisteredKernels kernels = RegisteredKernels.withXla();
    List<String> problems = new ArrayList<>();
    for (Iterator<GraphOperation> it = graph.operations(); it.hasNext(); ) {
      GraphOperation operation = it.next();
      if (!kernels.canCompile(operation)) {
        problems.add(operation.type() + " (node " + operation.name() + ")");
      }
    }
    if (!problems.isEmpty()) {
      throw new PerformerException(
          "XLA cannot compile "
              + String.join(", ", problems)
              + ": there is no kernel for these ops and types; leave them outside the function");
    }
  }

  /**
   * Checks that every tensor of a graph has a static shape.
   *
   * @throws PerformerException naming the first ops that have none
   */
  public static void requireStaticShapes(Graph graph) {
    List<String> problems = new ArrayList<>();
    for (Iterator<GraphOperation> it = graph.operations(); it.hasNext(); ) {
      GraphOperation operation = it.next();
      if (operation.type().equals(AXES_OP)) {
        continue;
      }
      for (int i = 0; i < operation.numOutputs(); i++) {
        if (operation.output(i).shape().hasUnknownDimension()) {
          problems.add(
              "%s (node %s, shape %s)"
                  .formatted(operation.type(), operation.name(), operation.output(i).shape()));
        }
      }
    }
    if (!problems.isEmpty()) {
      String rest = problems.size() > 5 ? " and " + (problems.size() - 5) + " more" : "";
      throw new PerformerException(
          ("these tensors have no static shape: %s%s; give the inputs fixed sizes and avoid"
                  + " ops whose result size depends on data")
              .formatted(
                  String.join(", ", problems.subList(0, Math.min(5, problems.size()))), rest));
    }
  }

  /**
   * Turns what TensorFlow throws when XLA refuses a graph at run time into one line that names the
   * op.
   *
   * @return the exception to throw: {@code e} itself where XLA is not its cause
   */
  public static RuntimeException explain(RuntimeException e) {
    Matcher matcher = UNSUPPORTED.matcher(String.valueOf(e.getMessage()));
    Set<String> ops = new TreeSet<>();
    String device = "";
    while (matcher.find()) {
      ops.add(matcher.group(1));
      device = matcher.group(2);
    }
    if (ops.isEmpty()) {
      return e;
    }
    return new PerformerException(
        "XLA (%s) cannot compile %s; leave them outside the compiled function"
            .formatted(device, String.join(", ", ops)),
        e);
  }
}
