package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.graph.Tensors;
import dev.performer.savedmodel.InputFeed;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.ndarray.buffer.DataBuffers;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.TUint8;

/** The tensors of one batch; closing it frees them. */
public final class Feed implements AutoCloseable {
  private final Map<Operand<?>, Tensor> tensors = new LinkedHashMap<>();

  /** The inputs of models in one graph, and the loss's targets and weights. */
  static Feed of(List<LanguageModel> models, LossGraph loss, LabelledBatch labelled) {
    int rows = models.stream().mapToInt(LanguageModel::fixedRows).max().orElse(0);
    LabelledBatch batch = rows > labelled.rows() ? labelled.withRows(rows, false) : labelled;
    Feed feed = new Feed();
    for (LanguageModel model : models) {
      feed.add(model, batch.inputs(), batch.mask(), batch.rows(), batch.length());
    }
    return feed.putLabels(loss, batch);
  }

  /** The model's inputs alone. */
  static Feed of(LanguageModel model, int[] tokens, int[] mask, long... shape) {
    return new Feed().add(model, tokens, mask, shape);
  }

  private Feed add(LanguageModel model, int[] tokens, int[] mask, long... shape) {
    put(model.tokens(), tokens, shape);
    model.mask().ifPresent(input -> put(input, mask, shape));
    int rows = (int) shape[0];
    int length = (int) shape[1];
    model
        .others()
        .forEach(
            (spec, input) -> {
              int[] values = InputFeed.of(spec).values(spec, mask, rows, length);
              put(input, values, InputFeed.shape(spec, rows, length));
            });
    return this;
  }

  /** Feeds the loss's targets and weights. */
  Feed putLabels(LossGraph loss, LabelledBatch batch) {
    long[] shape = {batch.rows(), batch.guesses()};
    put(loss.weights(), Tensors.of(batch.weights(), shape));
    return batch.numbers().length > 0
        ? put(loss.targets(), Tensors.of(batch.numbers(), shape))
        : put(loss.targets(), batch.targets(), shape);
  }

  /** Feeds a tensor, which is closed with the others, in place of an earlier one. */
  public Feed put(Operand<?> placeholder, Tensor tensor) {
    Optional.ofNullable(tensors.put(placeholder, tensor)).ifPresent(Tensor::close);
    return this;
  }

  /** Feeds whole numbers as whatever type the placeholder has. */
  public Feed put(Operand<?> placeholder, int[] values, long... shape) {
    return put(placeholder, tensor(placeholder.asOutput(), values, shape));
  }

  /** Adds the tensors to a run. */
  public Session.Runner into(Session.Runner runner) {
    tensors.forEach(runner::feed);
    return runner;
  }

  /** What is fed, by the placeholders' names; closed with these. */
  Map<String, Tensor> byName() {
    Map<String, Tensor> named = new LinkedHashMap<>();
    tensors.forEach((input, tensor) -> named.put(input.asOutput().op().name(), tensor));
    return named;
  }

  /** Computes outputs of these. */
  public Result run(Session session, Collection<? extends Output<?>> outputs) {
    Session.Runner runner = into(session.runner());
    outputs.forEach(runner::fetch);
    return runner.run();
  }

  @Override
  public void close() {
    tensors.values().forEach(Tensor::close);
  }

  private static Tensor tensor(Output<?> placeholder, int[] values, long[] shape) {
    Class<?> type = placeholder.type();
    if (type == TInt32.class) {
      return Tensors.of(values, shape);
    } else if (type == TInt64.class) {
      return Tensors.of(IntStream.of(values).asLongStream().toArray(), shape);
    } else if (type == TFloat64.class) {
      return Tensors.of(IntStream.of(values).asDoubleStream().toArray(), shape);
    } else if (type == TFloat32.class) {
      float[] floats = new float[values.length];
      for (int i = 0; i < floats.length; i++) {
        floats[i] = values[i];
      }
      return Tensors.of(floats, shape);
    }
    boolean isOfBytes = type == TBool.class || type == TUint8.class;
    String text =
        "input %s has type %s; tokens and masks must be int32, int64, float, double, bool or uint8";
    PerformerException.require(isOfBytes, text, placeholder.op().name(), placeholder.dataType());
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return Tensor.of(placeholder.type(), Shape.of(shape), DataBuffers.of(bytes));
  }
}
