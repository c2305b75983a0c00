package dev.performer.serving;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Result;
import org.tensorflow.Tensor;

/** The states of some texts by name, and what they are closed with. */
record StateRows(Map<String, Tensor> tensors, AutoCloseable owner) implements AutoCloseable {
  static StateRows own(Map<String, Tensor> tensors) {
    return new StateRows(tensors, () -> tensors.values().forEach(Tensor::close));
  }

  /** What a run gave, in this order, of which some are states. */
  static StateRows of(Result result, List<String> outputs, StateLayout layout) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (String name : layout.shapes().keySet()) {
      tensors.put(name, result.get(outputs.indexOf(name)));
    }
    return new StateRows(tensors, result);
  }

  /** A copy of one row. */
  StateRows row(StateLayout layout, int number) {
    return own(layout.join(List.of(new StateLayout.Row(tensors, number))));
  }

  /** Native memory. */
  long bytes() {
    return tensors.values().stream().mapToLong(Tensor::numBytes).sum();
  }

  @Override
  public void close() {
    try {
      owner.close();
    } catch (Exception e) {
      throw new IllegalStateException(e); // tensors and results throw nothing
    }
  }
}
