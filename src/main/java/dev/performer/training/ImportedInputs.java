package dev.performer.training;

import static dev.performer.PerformerException.require;

import dev.performer.graph.Recomputation;
import dev.performer.graph.Tensors;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.InputFeed;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.exceptions.TensorFlowException;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TBfloat16;
import org.tensorflow.types.TFloat16;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;

/**
 * How batches go into a signature of an imported model: tokens and their mask, and zeros where
 * another input is; or arrays that are named like the inputs.
 *
 * @param tokens the input with token ids; null for arrays
 * @param mask the input that is 1 where a token is real; null if there is none
 * @param copies outputs that are trained in place of the model's own
 */
record ImportedInputs(
    ImportedModel model,
    SignatureSpec spec,
    String tokens,
    String mask,
    Map<String, Output<?>> copies) {
  static ImportedInputs of(ImportedModel model, String signature, String tokens, String mask) {
    return new ImportedInputs(model, model.signatures().get(signature), tokens, mask, Map.of());
  }

  /** The same with outputs in parts that are computed again, which the parts get, if there are. */
  ImportedInputs inParts(List<String> outputs, Optional<Recomputation> parts) {
    return parts
        .map(all -> model.inParts(spec.name(), outputs, all))
        .map(made -> new ImportedInputs(model, spec, tokens, mask, made))
        .orElse(this);
  }

  Output<?> input(String name) {
    return model.input(spec.name(), name);
  }

  /** All inputs by name. */
  Map<String, Operand<?>> all() {
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    spec.inputs().keySet().forEach(name -> inputs.put(name, input(name)));
    return inputs;
  }

  /** An output as float32. @throws dev.performer.PerformerException if it holds no such numbers */
  Operand<TFloat32> output(Ops tf, String name) {
    Output<?> copy = copies.get(name);
    Output<?> output = copy != null ? copy : model.output(spec.name(), name);
    if (output.type() == TFloat32.class) {
      return output.expect(TFloat32.class);
    }
    var kinds = List.of(TFloat16.class, TBfloat16.class, TFloat64.class);
    boolean isFloat = kinds.stream().anyMatch(kind -> kind == output.type());
    require(
        isFloat,
        "the output %s is no floating point number; it cannot be trained",
        spec.output(name));
    return tf.dtypes.cast((Output) output, TFloat32.class);
  }

  /** The number of examples that every batch must have, or 0 if any will do. */
  int fixedRows() {
    var shapes = spec.inputs().values().stream().map(TensorSpec::shape);
    var sizes = shapes.filter(shape -> !shape.isUnknown() && shape.numDimensions() > 0);
    return sizes.mapToInt(shape -> (int) Math.max(0, shape.get(0))).max().orElse(0);
  }

  /** The batch with as many rows as the signature fixes; its own again weigh 0. */
  LabelledBatch fit(LabelledBatch batch) {
    return fixedRows() > batch.rows() ? batch.withRows(fixedRows(), true) : batch;
  }

  Feed feed(LabelledBatch batch) {
    return feed(new Feed(), batch);
  }

  /** Adds these inputs to others in the same graph. */
  Feed feed(Feed feed, LabelledBatch batch) {
    for (TensorSpec input : spec.inputs().values()) {
      String name = input.name();
      if (tokens == null) {
        feed.put(input(name), ImportedModel.tensor(input, batch.arrays().get(name)));
      } else {
        var own = name.equals(mask) ? InputFeed.MASK : InputFeed.of(input);
        int[] values =
            name.equals(tokens)
                ? batch.inputs()
                : own.values(input, batch.mask(), batch.rows(), batch.length());
        feed.put(input(name), values, InputFeed.shape(input, batch.rows(), batch.length()));
      }
    }
    return feed;
  }

  /** The shape of an output of a batch, with the stored weights. */
  long[] shape(String output, LabelledBatch batch) {
    try (Session session = new Session(model.graph(), false)) {
      model.restore(session);
      return run(session, batch, model.output(spec.name(), output)).shape();
    }
  }

  /** An output of a batch. */
  record Value(long[] shape, float[] values) {}

  Value run(Session session, LabelledBatch batch, Output<?> output) {
    try (Feed feed = feed(fit(batch));
        var result = feed.run(session, List.of(output))) {
      var tensor = result.get(0);
      boolean isFloat = output.type() == TFloat32.class;
      return new Value(tensor.shape().asArray(), isFloat ? Tensors.floats(tensor) : null);
    } catch (TensorFlowException | IllegalArgumentException e) {
      throw batch.failed("the model", e);
    }
  }
}
