package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.graph.Tensors;
import java.util.LinkedHashMap;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.Output;
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

  /** The model's inputs and the loss's targets and weights. */
  static Feed of(LanguageModel model, LossGraph loss, LabelledBatch labelled) {
    int rows = model.fixedRows();
    LabelledBatch batch = rows > labelled.rows() ? labelled.withRows(rows) : labelled;
    Feed feed = new Feed();
    try {
      long[] shape = {batch.rows(), batch.length()};
      feed.put(model.tokens(), batch.inputs(), shape);
      if (model.mask().isPresent()) {
        feed.put(model.mask().get(), batch.mask(), shape);
      }
      for (Output<?> input : model.constantInputs()) {
        feed.put(input, new int[batch.inputs().length], shape);
      }
      long[] guesses = {batch.rows(), batch.guesses()};
      if (batch.numbers().length > 0) {
        feed.tensors.put(loss.targets(), Tensors.of(batch.numbers(), guesses));
      } else {
        feed.put(loss.targets(), batch.targets(), guesses);
      }
      feed.tensors.put(loss.weights(), Tensors.of(batch.weights(), guesses));
      return feed;
    } catch (RuntimeException e) {
      feed.close();
      throw e;
    }
  }

  /** The model's inputs alone. */
  static Feed of(LanguageModel model, int[] tokens, int[] mask, long... shape) {
    Feed feed = new Feed();
    try {
      feed.put(model.tokens(), tokens, shape);
      if (model.mask().isPresent()) {
        feed.put(model.mask().get(), mask, shape);
      }
      for (Output<?> input : model.constantInputs()) {
        feed.put(input, new int[tokens.length], shape);
      }
      return feed;
    } catch (RuntimeException e) {
      feed.close();
      throw e;
    }
  }

  /** Feeds a float64 scalar. */
  public void scalar(Operand<TFloat64> placeholder, double value) {
    tensors.put(placeholder, TFloat64.scalarOf(value));
  }

  /** Feeds a tensor, which is closed with the others. */
  public Feed put(Operand<?> placeholder, Tensor tensor) {
    tensors.put(placeholder, tensor);
    return this;
  }

  public void into(Session.Runner runner) {
    tensors.forEach(runner::feed);
  }

  @Override
  public void close() {
    tensors.values().forEach(Tensor::close);
  }

  /** Feeds whole numbers as whatever type the placeholder has. */
  void put(Output<?> placeholder, int[] values, long... shape) {
    tensors.put(placeholder, tensor(placeholder, values, shape));
  }

  private static Tensor tensor(Output<?> placeholder, int[] values, long[] shape) {
    Class<?> type = placeholder.type();
    int n = values.length;
    if (type == TInt32.class) {
      return Tensors.of(values, shape);
    } else if (type == TInt64.class) {
      long[] longs = new long[n];
      for (int i = 0; i < n; i++) {
        longs[i] = values[i];
      }
      return Tensors.of(longs, shape);
    } else if (type == TFloat32.class) {
      float[] floats = new float[n];
      for (int i = 0; i < n; i++) {
        floats[i] = values[i];
      }
      return Tensors.of(floats, shape);
    } else if (type == TFloat64.class) {
      double[] doubles = new double[n];
      for (int i = 0; i < n; i++) {
        doubles[i] = values[i];
      }
      return Tensors.of(doubles, shape);
    } else if (type == TBool.class || type == TUint8.class) {
      byte[] bytes = new byte[n];
      for (int i = 0; i < n; i++) {
        bytes[i] = (byte) values[i];
      }
      return Tensor.of(placeholder.type(), Shape.of(shape), DataBuffers.of(bytes));
    }
    throw new PerformerException(
        "input "
            + placeholder.op().name()
            + " of the model has type "
            + placeholder.dataType()
            + "; tokens and masks must be int32, int64, float, double, bool or uint8");
  }
}
