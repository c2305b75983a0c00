package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.Attention.Projected;
import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.testing.GraphRun;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** With gates, pieces, steps and steps that wait give what all positions at once give. */
class GatedRecurrenceTest {
  private static final int H = 2;
  private static final int D = 8;
  private static final int V = 5;
  private static final int LENGTH = 45;

  @ParameterizedTest
  @EnumSource(names = {"SOFTMAX", "HYPERBOLIC", "RELU", "SDERF"})
  void equalsTheParallelForm(Kernel kernel) {
    FavorConfig config =
        FavorConfig.of(kernel).withFeatures(16).withCausal(true).toBuilder()
            .chunk(8)
            .gate(Gate.TOKEN)
            .build();
    Map<String, NpyArray> arrays =
        new LinkedHashMap<>(Inputs.random(7, 1, H, LENGTH, LENGTH, D, V, 1));
    arrays.put("P", Inputs.projection(config, D, 1));
    Random random = new Random(kernel.ordinal());
    double[] logs = new double[H * LENGTH];
    for (int i = 0; i < logs.length; i++) {
      logs[i] = -Math.exp(4 * random.nextGaussian() - 4); // from nearly 1 to nearly 0
    }
    arrays.put("logs", NpyArray.of(logs, 1, H, LENGTH, 1));
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      FavorAttention attention =
          FavorAttention.of(config, constant(tf, arrays.get("P")), calibration(tf, kernel, arrays));
      Projected all = piece(tf, arrays, 0, LENGTH);
      var parallel =
          attention.attend(tf, all.queries(), all.keys(), all.values(), null, all.logGates());
      RecurrentForm form = attention.recurrent(H, D, V);
      var runner = session.runner().fetch(parallel);
      runner.fetch(inPieces(tf, form, arrays, random));
      runner.fetch(inSteps(tf, form, arrays));
      runner.fetch(waiting(tf, form, arrays));
      try (Result result = runner.run()) {
        double[] expected = doubles(result, 0);
        for (int i = 1; i < 4; i++) {
          double difference = GraphRun.maxDifference(doubles(result, i), expected);
          assertThat(difference / GraphRun.maxAbs(expected)).as("%d", i).isLessThan(1e-5);
        }
      }
    }
  }

  /** Pieces end in padding, whose gates are 0, and some are padding only. */
  private static Operand<TFloat32> inPieces(
      Ops tf, RecurrentForm form, Map<String, NpyArray> arrays, Random random) {
    List<Operand<TFloat32>> states = null;
    List<Operand<TFloat32>> outputs = new ArrayList<>();
    int count;
    for (int from = 0; from < LENGTH; from += count) {
      count = Math.min(LENGTH - from, new int[] {0, 1, 7, 8, 20}[random.nextInt(5)]);
      Projected real = piece(tf, arrays, from, count);
      Projected padding = piece(tf, arrays, 3, 2);
      var gates = tf.fill(tf.array(1, H, 2, 1), tf.constant(-50f));
      Projected padded =
          new Projected(
              both(tf, real.queries(), padding.queries()),
              both(tf, real.keys(), padding.keys()),
              both(tf, real.values(), padding.values()),
              both(tf, real.logGates(), gates));
      var mask =
          tf.concat(
              List.of(
                  tf.fill(tf.array(1, count), tf.constant(1f)),
                  tf.fill(tf.array(1, 2), tf.constant(0f))),
              tf.constant(1));
      RecurrentForm.Advance advance = form.extend(tf, states, padded, mask);
      states = advance.states();
      outputs.add(tf.slice(advance.output(), tf.array(0, 0, 0, 0), tf.array(-1, -1, count, -1)));
    }
    return tf.concat(outputs, tf.constant(2));
  }

  private static Operand<TFloat32> both(Ops tf, Operand<TFloat32> x, Operand<TFloat32> y) {
    return tf.concat(List.of(x, y), tf.constant(2));
  }

  private static Operand<TFloat32> inSteps(
      Ops tf, RecurrentForm form, Map<String, NpyArray> arrays) {
    List<Operand<TFloat32>> states = nothing(tf, form.states());
    List<Operand<TFloat32>> outputs = new ArrayList<>();
    for (int t = 0; t < LENGTH; t++) {
      RecurrentForm.Advance advance = form.step(tf, states, piece(tf, arrays, t, 1));
      states = advance.states();
      outputs.add(advance.output());
    }
    return tf.concat(outputs, tf.constant(2));
  }

  /** Up to four wait until the states take them in. */
  private static Operand<TFloat32> waiting(
      Ops tf, RecurrentForm form, Map<String, NpyArray> arrays) {
    List<Operand<TFloat32>> states = nothing(tf, form.states());
    List<Operand<TFloat32>> late = nothing(tf, form.waiting());
    List<Operand<TFloat32>> outputs = new ArrayList<>();
    for (int t = 0; t < LENGTH; t++) {
      RecurrentForm.Advance advance = form.defer(tf, states, late, piece(tf, arrays, t, 1));
      late = advance.states();
      outputs.add(advance.output());
      if (t % 4 == 3) {
        states = form.settle(tf, states, late);
        late = nothing(tf, form.waiting());
      }
    }
    return tf.concat(outputs, tf.constant(2));
  }

  private static List<Operand<TFloat32>> nothing(Ops tf, List<RecurrentForm.State> states) {
    List<Operand<TFloat32>> zeros = new ArrayList<>();
    for (RecurrentForm.State state : states) {
      long[] s = state.sizes();
      var sizes = tf.array(1, (int) s[0], (int) Math.max(0, s[1]), (int) s[2]);
      zeros.add(tf.fill(sizes, tf.constant(0f)));
    }
    return zeros;
  }

  private static Projected piece(Ops tf, Map<String, NpyArray> arrays, int from, int count) {
    List<Operand<TFloat32>> parts = new ArrayList<>();
    for (String name : List.of("q", "k", "v", "logs")) {
      var size = tf.array(-1, -1, count, -1);
      parts.add(tf.slice(constant(tf, arrays.get(name)), tf.array(0, 0, from, 0), size));
    }
    return new Projected(parts.get(0), parts.get(1), parts.get(2), parts.get(3));
  }

  private static Calibration calibration(Ops tf, Kernel kernel, Map<String, NpyArray> arrays) {
    if (!kernel.isCalibrated()) {
      return null;
    }
    var zeros = tf.constant(new float[1][D]);
    var directions = tf.expandDims(constant(tf, arrays.get("P")), tf.constant(0));
    return new Calibration(zeros, zeros, zeros, directions);
  }

  private static Operand<TFloat32> constant(Ops tf, NpyArray x) {
    return tf.reshape(tf.constant(x.floats()), tf.constant(x.shape()));
  }

  private static double[] doubles(Result result, int i) {
    float[] x = Tensors.floats(result.get(i));
    double[] doubles = new double[x.length];
    for (int j = 0; j < x.length; j++) {
      doubles[j] = x[j];
    }
    return doubles;
  }
}
