package dev.performer.savedmodel;

import dev.performer.data.NpyArray;
import dev.performer.graph.FunctionLibrary;
import dev.performer.graph.LossGradients;
import dev.performer.graph.TensorNames;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.family.TNumber;

/**
 * Runs an imported model on arrays, forward and backward, for comparison with what Python computed.
 */
final class ModelComparison {
  private ModelComparison() {}

  /** Outputs of a signature. */
  static Map<String, double[]> predict(
      ImportedModel model, String signature, Map<String, NpyArray> inputs) {
    Map<String, Output<?>> fetches = new LinkedHashMap<>();
    Ops tf = Ops.create(model.graph());
    for (String name : model.signatures().get(signature).outputs().keySet()) {
      fetches.put(name, wide(tf, model.output(signature, name)));
    }
    return run(model, signature, inputs, fetches);
  }

  /**
   * Gradients of the sum of o_n·cos(0.7n + 0.3) over all floating point outputs, by variable node.
   */
  static Map<String, double[]> gradients(
      ImportedModel model, String signature, Map<String, NpyArray> inputs) {
    Ops tf = Ops.create(model.graph());
    List<Operand<TFloat64>> terms = new ArrayList<>();
    for (String name : model.signatures().get(signature).outputs().keySet()) {
      Output<?> output = model.output(signature, name);
      if (output.dataType() == DataType.DT_FLOAT || output.dataType() == DataType.DT_DOUBLE) {
        terms.add(weightedSum(tf, output));
      }
    }
    Output<?> loss = tf.math.addN(terms).asOutput();
    List<Variable> variables = model.trainability().trainable();
    return gradients(model, signature, inputs, loss, variables);
  }

  /** Gradients of a loss by the name of the node that makes the variable's handle. */
  static Map<String, double[]> gradients(
      ImportedModel model,
      String signature,
      Map<String, NpyArray> inputs,
      Output<?> loss,
      List<Variable> variables) {
    Ops tf = Ops.create(model.graph());
    List<Optional<Output<?>>> gradients = LossGradients.find(model.graph(), loss, variables);
    Map<String, Output<?>> fetches = new LinkedHashMap<>();
    for (int i = 0; i < gradients.size(); i++) {
      Variable variable = variables.get(i);
      Output<?> gradient =
          gradients.get(i).orElseGet(() -> tf.zerosLike(variable.read(tf)).asOutput());
      // Two variables may share one gradient tensor, which cannot be fetched twice.
      fetches.put(variable.handle().op().name(), wide(tf, tf.identity(gradient).asOutput()));
    }
    return run(model, signature, inputs, fetches);
  }

  /** The nodes of the variables that a signature's function captures, by position. */
  static Map<Integer, String> captured(SavedModelDirectory directory, String signature) {
    String output = directory.signature(signature).outputs().values().iterator().next().tensor();
    Map<String, NodeDef> nodes = new HashMap<>();
    directory
        .metaGraph()
        .getGraphDef()
        .getNodeList()
        .forEach(node -> nodes.put(node.getName(), node));
    NodeDef call = nodes.get(TensorNames.node(output));
    String function = FunctionLibrary.attributeFunctions(call).get(0);
    int count = directory.objects().concreteFunction(function).orElseThrow().getBoundInputsCount();
    List<String> inputs =
        call.getInputList().stream().filter(in -> !TensorNames.isControl(in)).toList();
    Map<Integer, String> captured = new HashMap<>();
    for (int i = 0; i < count; i++) {
      captured.put(i, TensorNames.node(inputs.get(inputs.size() - count + i)));
    }
    return captured;
  }

  /** Largest difference, relative to the largest expected value (or absolute below 1). */
  static double difference(double[] actual, NpyArray expected) {
    double[] wanted = expected.doubles();
    if (actual.length != wanted.length) {
      return Double.POSITIVE_INFINITY;
    }
    double scale = 1;
    double difference = 0;
    for (int i = 0; i < wanted.length; i++) {
      scale = Math.max(scale, Math.abs(wanted[i]));
      double d = Math.abs(actual[i] - wanted[i]);
      difference = Double.isNaN(d) ? Double.POSITIVE_INFINITY : Math.max(difference, d);
    }
    return difference / scale;
  }

  static Output<TFloat64> wide(Ops tf, Output<?> value) {
    return tf.dtypes.cast(number(value), TFloat64.class).asOutput();
  }

  private static Operand<TFloat64> weightedSum(Ops tf, Output<?> output) {
    Operand<TFloat64> flat = tf.reshape(wide(tf, output), tf.constant(new int[] {-1}));
    Operand<TFloat64> n =
        tf.dtypes.cast(tf.range(tf.constant(0), tf.size(flat), tf.constant(1)), TFloat64.class);
    Operand<TFloat64> weights =
        tf.math.cos(tf.math.add(tf.math.mul(n, tf.constant(0.7)), tf.constant(0.3)));
    return tf.reduceSum(tf.math.mul(flat, weights), tf.constant(0));
  }

  @SuppressWarnings("unchecked")
  private static Operand<TNumber> number(Output<?> value) {
    return (Operand<TNumber>) value;
  }

  private static Map<String, double[]> run(
      ImportedModel model,
      String signature,
      Map<String, NpyArray> inputs,
      Map<String, Output<?>> fetches) {
    List<Tensor> feeds = new ArrayList<>();
    try (Session session = new Session(model.graph())) {
      model.restore(session);
      Session.Runner runner = session.runner();
      inputs.forEach(
          (name, array) -> {
            Output<?> input = model.input(signature, name);
            Tensor tensor =
                Tensors.ofBytes(input.dataType(), Shape.of(array.shape()), array.buffer());
            feeds.add(tensor);
            runner.feed(input, tensor);
          });
      fetches.values().forEach(runner::fetch);
      Map<String, double[]> results = new LinkedHashMap<>();
      try (Result result = runner.run()) {
        int i = 0;
        for (String name : fetches.keySet()) {
          results.put(name, Tensors.doubles(result.get(i++)));
        }
      }
      return results;
    } finally {
      feeds.forEach(Tensor::close);
    }
  }
}
