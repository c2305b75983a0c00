package dev.performer.graph;

import dev.performer.graph.TracedFunction.ArgumentSpec;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.FunctionDef;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.types.TBool;

/**
 * A loop of a graph, {@code StatelessWhile}: its functions see what it carries and nothing else, so
 * weights are values that it carries and does not change. It has no gradient.
 *
 * @param name of the loop and, with an end, of its functions: unique in the graph
 * @param carried what goes in, by name
 * @param shapes of what is carried, in any turn; where none is given, that of what goes in
 */
public record Loop(String name, Map<String, Operand<?>> carried, Map<String, Shape> shapes) {
  /** What a function of the loop makes of what is carried, by name. */
  @FunctionalInterface
  public interface Turn<R> extends BiFunction<Ops, Map<String, Operand<?>>, R> {}

  /**
   * Adds the loop.
   *
   * @param condition whether there is another turn, a scalar
   * @param turn gives new values; what it does not give stays as it is
   * @return what was carried, in the end
   */
  public Map<String, Output<?>> run(
      Ops tf, Turn<Operand<TBool>> condition, Turn<Map<String, Operand<?>>> turn) {
    FunctionDef cond = function("_condition", (t, in) -> Map.of("more", condition.apply(t, in)));
    FunctionDef body =
        function(
            "_turn",
            (t, in) -> {
              Map<String, Operand<?>> after = new LinkedHashMap<>(in);
              after.putAll(turn.apply(t, in));
              return after;
            });
    GraphDef.Builder library = GraphDef.newBuilder();
    library.getLibraryBuilder().addFunction(cond).addFunction(body);
    ((Graph) tf.scope().env()).importGraphDef(library.build());
    var inputs = carried.values().stream().map(Operand::asOutput).toArray(Output<?>[]::new);
    var types = specs().stream().map(ArgumentSpec::dataType).toArray(DataType[]::new);
    var sizes = specs().stream().map(ArgumentSpec::shape).toArray(Shape[]::new);
    var builder = tf.scope().opBuilder("StatelessWhile", name).addInputList(inputs);
    builder.setAttr("T", types).setAttr("output_shapes", sizes);
    builder.setAttr("cond", reference(cond)).setAttr("body", reference(body));
    // As nodes of the graph, turns are optimized and scheduled with it; Python's loops say so, too.
    builder.setAttr("_lower_using_switch_merge", true);
    Operation loop = builder.build();
    Map<String, Output<?>> results = new LinkedHashMap<>();
    carried.keySet().forEach(key -> results.put(key, loop.output(results.size())));
    return results;
  }

  private List<ArgumentSpec> specs() {
    List<ArgumentSpec> specs = new ArrayList<>();
    carried.forEach(
        (key, value) -> {
          Shape shape = shapes.getOrDefault(key, value.shape());
          specs.add(new ArgumentSpec(key, value.asOutput().type(), shape));
        });
    return specs;
  }

  /** Under a name that is the same for the same model, unlike that of TensorFlow Java. */
  private FunctionDef function(String end, Turn<Map<String, Operand<?>>> body) {
    TracedFunction.Body traced =
        tracing -> {
          Map<String, Operand<?>> in = new LinkedHashMap<>();
          specs().forEach(spec -> in.put(spec.name(), tracing.input(spec)));
          return body.apply(tracing.tf(), in);
        };
    try (Graph scratch = new Graph();
        TracedFunction function = TracedFunction.trace(name + end, traced)) {
      scratch.attachFunction(function.function());
      FunctionDef.Builder made = scratch.toGraphDef().getLibrary().getFunction(0).toBuilder();
      made.getSignatureBuilder().setName(name + end);
      List<NodeDef> all = new ArrayList<>(made.getNodeDefList());
      all.sort(Comparator.comparing(NodeDef::getName));
      Set<String> results = new HashSet<>();
      made.getRetMap().values().forEach(result -> results.add(result.split(":")[0]));
      List<NodeDef> nodes = CommonNodes.merged(all, results);
      return made.clearNodeDef().addAllNodeDef(nodes).build();
    }
  }

  private static AttrValue reference(FunctionDef function) {
    AttrValue.Builder value = AttrValue.newBuilder();
    value.getFuncBuilder().setName(function.getSignature().getName());
    return value.build();
  }
}
