package dev.performer.graph;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.tensorflow.ConcreteFunction;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Operation;
import org.tensorflow.Output;
import org.tensorflow.Signature;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.family.TType;

/**
 * A TensorFlow function made by running Java code that adds ops. Variables of the calling graph
 * reach it as resource arguments behind its inputs, so it can read and update them and take
 * gradients. Owns the native function; close it once every graph that calls it has it.
 *
 * @param captured the calling graph's variables, whose handles follow the inputs in this order
 */
public record TracedFunction(
    ConcreteFunction function,
    List<ArgumentSpec> inputs,
    List<ArgumentSpec> outputs,
    List<Variable> captured)
    implements AutoCloseable {

  /** A named tensor that goes into or comes out of a function; −1 for a size of run time. */
  public record ArgumentSpec(String name, Class<? extends TType> type, Shape shape) {
    public static ArgumentSpec of(String name, Class<? extends TType> type, long... shape) {
      return new ArgumentSpec(name, type, Shape.of(shape));
    }

    public DataType dataType() {
      return Tensors.dataType(type);
    }
  }

  public interface Body {
    Map<String, Operand<?>> build(Tracing tracing);
  }

  public static final class Tracing {
    private final Signature.Builder signature;
    private final List<ArgumentSpec> inputs = new ArrayList<>();
    private final List<ArgumentSpec> outputs = new ArrayList<>();
    private final Map<Variable, Variable> captured = new LinkedHashMap<>();
    private Ops tf;

    private Tracing(String name) {
      signature = Signature.builder(name);
    }

    private Signature run(Ops ops, Body body) {
      tf = ops;
      for (var built : body.build(this).entrySet()) {
        // An input or a value named twice cannot be an output itself.
        String name = Variables.operationName(built.getKey());
        boolean isInput = inputs.stream().anyMatch(input -> input.name().equals(built.getKey()));
        Ops named = tf.withName(isInput ? name + "_out" : name);
        Output<?> output = named.identity(built.getValue()).asOutput();
        outputs.add(new ArgumentSpec(built.getKey(), output.type(), output.shape()));
        signature.output(built.getKey(), output);
      }
      return signature.build();
    }

    public Ops tf() {
      return tf;
    }

    public Graph graph() {
      return (Graph) tf.scope().env();
    }

    /** Adds an input. Inputs come before variables, in the order in which they are added. */
    public Operand<?> input(ArgumentSpec spec) {
      var shape = Placeholder.shape(spec.shape());
      return adoptInput(spec, tf.placeholder(spec.type(), shape).asOutput());
    }

    Operand<?> adoptInput(ArgumentSpec spec, Output<?> placeholder) {
      inputs.add(spec);
      signature.input(spec.name(), placeholder);
      return placeholder;
    }

    public Variable capture(Variable outer) {
      if (captured.containsKey(outer)) {
        return captured.get(outer);
      }
      // A handle becomes an argument; unlike a placeholder it tells readers the variable's shape.
      var handle = Variable.handle(tf, "variable", outer.name(), outer.type(), outer.shape());
      return adoptCapture(outer, handle);
    }

    /** Makes a handle that is already in the function's graph stand for a variable. */
    Variable adoptCapture(Variable outer, Output<?> handle) {
      Variable inner = outer.withHandle(handle);
      // The key cannot clash with an input's: those are identifiers.
      signature.input("variable/" + captured.size(), handle);
      captured.put(outer, inner);
      return inner;
    }
  }

  /** Makes a function, whose name is unique in the graphs that call it, in a graph of its own. */
  public static TracedFunction trace(String name, Body body) {
    Tracing tracing = new Tracing(name);
    var function = ConcreteFunction.create(ops -> tracing.run(ops, body));
    List<Variable> captured = List.copyOf(tracing.captured.keySet());
    return new TracedFunction(function, tracing.inputs, tracing.outputs, captured);
  }

  public String name() {
    return function.getDefinedName();
  }

  /** Adds a call, with a handle per captured variable; one XLA must compile fails if it cannot. */
  public Operation call(
      Ops tf,
      String name,
      List<? extends Operand<?>> values,
      List<? extends Output<?>> handles,
      boolean mustCompile) {
    ((Graph) tf.scope().env()).attachFunction(function);
    var builder = tf.scope().opBuilder("StatefulPartitionedCall", name);
    var outs = values.stream().map(Operand::asOutput);
    builder.addInputList(Stream.concat(outs, handles.stream()).toArray(Output<?>[]::new));
    var resources = captured.stream().map(variable -> DataType.DT_RESOURCE);
    var types = Stream.concat(inputs.stream().map(ArgumentSpec::dataType), resources);
    DataType[] results = outputs.stream().map(ArgumentSpec::dataType).toArray(DataType[]::new);
    builder.setAttr("Tin", types.toArray(DataType[]::new)).setAttr("Tout", results);
    if (mustCompile) {
      builder.setAttr("_XlaMustCompile", true);
    }
    return builder.setAttr("f", function).build();
  }

  @Override
  public void close() {
    function.close();
  }
}
