package dev.performer.graph;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.ConfigProto;
import org.tensorflow.proto.RewriterConfig;

/**
 * Part of a graph that XLA compiles as a whole, or fails: the proof that a computation can run
 * where only XLA runs. On a CPU it is seldom faster.
 */
public final class XlaFunction {
  private static final AtomicLong COUNT = new AtomicLong();
  private static final Pattern UNSUPPORTED =
      Pattern.compile("No registered '(\\w+)' OpKernel for (XLA_\\w+)");

  private static final String NO_LENGTH = "requires a fixed tensor list size";

  private XlaFunction() {}

  /**
   * Adds a compiled call of a part of the graph; what it computed there stays and costs nothing
   * where nobody fetches it.
   *
   * @param inputs where the part begins: first outputs of their operations, any shapes. Each new
   *     combination of sizes is compiled anew when it first comes
   * @param values what goes in there, which may be the same
   * @param outputs what they depend on by control dependencies is part of it
   * @throws PerformerException naming the ops of the part that have no kernel for XLA
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
    Graph graph = (Graph) tf.scope().env();
    GraphCut cut = new GraphCut(graph, in, out, variables).keepingControlFlow();
    TracedFunction.Body body =
        tracing -> {
          Map<String, Operand<?>> built = cut.build(tracing);
          requireKernels(tracing.graph());
          return built;
        };
    String name = "xla_" + COUNT.incrementAndGet();
    try (TracedFunction function = TracedFunction.trace(name, body)) {
      var handles = function.captured().stream().map(Variable::handle).toList();
      var call = function.call(tf, name, values, handles, true);
      return IntStream.range(0, outputs.size()).<Output<?>>mapToObj(call::output).toList();
    }
  }

  /** TensorFlow's optimizer would bring in ops that XLA cannot compile: TemporaryVariable. */
  public static ConfigProto sessionConfig() {
    ConfigProto.Builder config = ConfigProto.newBuilder();
    var rewrites = config.getGraphOptionsBuilder().getRewriteOptionsBuilder();
    rewrites.setMemoryOptimization(RewriterConfig.MemOptType.NO_MEM_OPT);
    rewrites.setRemapping(RewriterConfig.Toggle.OFF);
    return config.build();
  }

  private static void requireKernels(Graph graph) {
    RegisteredKernels kernels = RegisteredKernels.withXla();
    List<String> problems = new ArrayList<>();
    for (var all = graph.operations(); all.hasNext(); ) {
      var operation = all.next();
      if (!kernels.canCompile(operation)) {
        problems.add(operation.type() + " (node " + operation.name() + ")");
      }
    }
    String message = "XLA cannot compile %s: it has no kernel for these ops and types";
    String all = String.join(", ", problems);
    require(problems.isEmpty(), message + "; leave them outside", all);
  }

  /** One line that names the op that XLA refused when it ran; {@code e} where XLA did not. */
  public static RuntimeException explain(RuntimeException e) {
    if (String.valueOf(e.getMessage()).contains(NO_LENGTH)) {
      String text =
          "XLA cannot compile the gradient of a loop: what each turn keeps is as long as there are turns";
      return new PerformerException(text + ", which is not known before; train without XLA", e);
    }
    List<MatchResult> found =
        UNSUPPORTED.matcher(String.valueOf(e.getMessage())).results().toList();
    if (found.isEmpty()) {
      return e;
    }
    TreeSet<String> ops = new TreeSet<>();
    found.forEach(match -> ops.add(match.group(1)));
    String message = "XLA (%s) cannot compile %s; leave them outside the compiled function";
    String all = String.join(", ", ops);
    return new PerformerException(message.formatted(found.get(0).group(2), all), e);
  }
}
