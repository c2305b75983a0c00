package dev.performer.study;

import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dropout;
import dev.performer.savedmodel.PerformerModels;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;

/** A model run on sequences, one at a time, for what is measured inside it. */
record ModelPass(PerformerConfig model, Map<String, NpyArray> weights) {
  /** Adds what is measured to the graph of a sequence. */
  interface Measures {
    List<Output<TFloat64>> of(Ops tf, Outputs outputs);
  }

  /** Takes the values of one measure, in the order of the list, of one sequence. */
  interface Taking {
    void take(int measure, double[] values);
  }

  /** Runs all. @param paddedLength to which all are padded with {@code pad}; 0 for not at all */
  void run(List<int[]> sequences, int pad, int paddedLength, Measures measures, Taking taking) {
    try (Graph graph = new Graph();
        Session session = new Session(graph, false)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.shapes(model)
          .forEach((name, shape) -> variables.declare(name, TFloat32.class, shape, false));
      var anyLength = Placeholder.shape(Shape.of(1, -1));
      Operand<TInt32> ids = tf.placeholder(TInt32.class, anyLength);
      Operand<TFloat32> mask = tf.placeholder(TFloat32.class, anyLength);
      Outputs outputs =
          Performer.over(model, variables::get).apply(tf, Inputs.of(ids, mask), Dropout.none());
      var fetched = measures.of(tf, outputs);
      PerformerModels.assign(tf, session, variables.all(), weights);
      for (int[] sequence : sequences) {
        int length = Math.max(sequence.length, paddedLength);
        int[] tokens = Arrays.copyOf(sequence, length);
        Arrays.fill(tokens, sequence.length, length, pad);
        float[] real = new float[length];
        Arrays.fill(real, 0, sequence.length, 1);
        try (Tensor tokenTensor = Tensors.of(tokens, 1, length);
            Tensor maskTensor = Tensors.of(real, 1, length)) {
          Session.Runner runner = session.runner().feed(ids, tokenTensor).feed(mask, maskTensor);
          fetched.forEach(runner::fetch);
          try (Result result = runner.run()) {
            for (int i = 0; i < fetched.size(); i++) {
              taking.take(i, Tensors.doubles(result.get(i)));
            }
          }
        }
      }
    }
  }
}
