package dev.performer.attention;

import static dev.performer.attention.Kernel.COS;
import static dev.performer.attention.Kernel.IDENTITY;
import static dev.performer.attention.Kernel.SIN;
import static dev.performer.attention.Kernel.TANH;
import static dev.performer.attention.Kernel.TRIGONOMETRIC;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.Attention.Projected;
import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.testing.GraphRun;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.assertj.core.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;

/** One position at a time gives what all positions at once give. */
class RecurrentAttentionTest {
  private static final int H = 2;
  private static final int D = 16;
  private static final int V = 8;

  @ParameterizedTest
  @EnumSource(names = {"SOFTMAX", "HYPERBOLIC", "RELU", "ELU"}) // the step that generation uses
  void equalsTheParallelFormAfter4096Positions(Kernel kernel) {
    int length = 4096;
    FavorConfig config = FavorConfig.of(kernel).withCausal(true);
    config = kernel.isSoftmax() ? config.withFeatures(32) : config;
    Map<String, NpyArray> arrays =
        new LinkedHashMap<>(Inputs.random(5, 1, H, length, length, D, V, 1));
    if (config.hasProjection()) {
      arrays.put("P", Inputs.projection(config, D, 1));
    }
    double[] parallel;
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      parallel = run.value(arrays);
    }
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      var q = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, H, 1, D)));
      var k = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, H, 1, D)));
      var v = tf.placeholder(TFloat32.class, Placeholder.shape(Shape.of(-1, H, 1, V)));
      RecurrentForm recurrent = attention(tf, config, arrays.get("P")).recurrent(H, D, V);
      List<Operand<TFloat32>> states = new ArrayList<>();
      List<long[]> sizes = new ArrayList<>();
      for (RecurrentForm.State one : recurrent.states()) {
        Shape shape = Shape.of(1).append(Shape.of(one.sizes()));
        states.add(tf.placeholder(TFloat32.class, Placeholder.shape(shape)));
        sizes.add(shape.asArray());
      }
      RecurrentForm.Advance step = recurrent.step(tf, states, new Projected(q, k, v));
      float[] allQ = arrays.get("q").floats();
      float[] allK = arrays.get("k").floats();
      float[] allV = arrays.get("v").floats();
      try (Session session = new Session(graph)) {
        List<Tensor> state = new ArrayList<>();
        sizes.forEach(s -> state.add(Tensors.of(new float[(int) Shape.of(s).size()], s)));
        Result last = null;
        double worst = 0;
        for (int t = 0; t < length; t++) {
          try (Tensor qt = position(allQ, length, D, t);
              Tensor kt = position(allK, length, D, t);
              Tensor vt = position(allV, length, V, t)) {
            Session.Runner runner =
                session.runner().feed(q, qt).feed(k, kt).feed(v, vt).fetch(step.output());
            for (int i = 0; i < states.size(); i++) {
              runner.feed(states.get(i), state.get(i)).fetch(step.states().get(i));
            }
            Result next = runner.run();
            if (last == null) {
              state.forEach(Tensor::close);
            } else {
              last.close();
            }
            last = next;
            for (int i = 0; i < states.size(); i++) {
              state.set(i, next.get(i + 1));
            }
          }
          float[] out = Tensors.floats(last.get(0));
          for (int h = 0; h < H; h++) {
            for (int c = 0; c < V; c++) {
              worst =
                  Math.max(worst, Math.abs(out[h * V + c] - parallel[(h * length + t) * V + c]));
            }
          }
        }
        last.close();
        assertThat(worst / GraphRun.maxAbs(parallel)).isLessThanOrEqualTo(1e-5);
      }
    }
  }

  /** Whatever the pieces, some of which are empty. */
  @ParameterizedTest
  @EnumSource
  void equalsTheParallelFormInPieces(Kernel kernel) {
    if (kernel.isBidirectionalOnly()) {
      return;
    }
    int length = 50;
    // Sums of either sign may vanish, and no quotient by them is the same twice.
    boolean divides = !Set.of(TRIGONOMETRIC, IDENTITY, TANH, SIN, COS).contains(kernel);
    Random random = new Random(kernel.ordinal());
    for (Convention convention : Convention.known()) {
      if (!convention.has(kernel)) {
        continue;
      }
      FavorConfig config =
          FavorConfig.of(kernel).withConvention(convention).withCausal(true).withFeatures(24);
      config = config.toBuilder().chunk(8).renormalize(divides).build();
      boolean isCoupled = convention.couplesPositions(kernel);
      boolean isGarden = convention == Convention.MODEL_GARDEN;
      if (isCoupled && (isGarden || !divides) || config.meantKernel() != kernel) {
        continue;
      }
      var arrays = new LinkedHashMap<>(Inputs.random(7, 1, H, length, length, D, V, 1));
      arrays.put("P", Inputs.projection(config, D, 1));
      double[] parallel;
      try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
        parallel = run.value(arrays);
      }
      try (Graph graph = new Graph();
          Session session = new Session(graph)) {
        Ops tf = Ops.create(graph);
        var pieces = inPieces(tf, config, arrays, length, random);
        var whole = inPieces(tf, config, arrays, length, null);
        try (Result result = session.runner().fetch(pieces).fetch(whole).run()) {
          float[] some = Tensors.floats(result.get(0));
          float[] all = Tensors.floats(result.get(1));
          var tolerance = Assertions.within(1e-5 * GraphRun.maxAbs(parallel));
          for (int i = 0; i < some.length; i++) {
            String place = "%s, position %d".formatted(convention, i / V % length);
            assertThat((double) some[i]).as(place).isCloseTo(all[i], tolerance);
            // Google's keys are divided by a maximum over all positions, later ones included.
            if (!isCoupled || i / V % length == length - 1) {
              assertThat((double) some[i]).as(place).isCloseTo(parallel[i], tolerance);
            }
          }
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"3, '', true", "4, '0,2', true", "0, '1', true", "60, '', true", "5, '0,12', false"})
  void windowsAndSinksEqualTheParallelFormInPiecesAndSteps(
      int window, String list, boolean linear) {
    int length = 33;
    List<Integer> sinks =
        Stream.of(list.split(",")).filter(n -> !n.isEmpty()).map(Integer::valueOf).toList();
    FavorConfig config =
        FavorConfig.of(Kernel.HYPERBOLIC).withCausal(true).withFeatures(24).toBuilder()
            .window(window)
            .sinks(sinks)
            .linear(linear)
            .build();
    var arrays = new LinkedHashMap<>(Inputs.random(7, 1, H, length, length, D, V, 1));
    arrays.put("P", Inputs.projection(config, D, 1));
    double[] parallel;
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      parallel = run.value(arrays);
    }
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      var pieces = inPieces(tf, config, arrays, length, new Random(window));
      RecurrentForm recurrent = attention(tf, config, arrays.get("P")).recurrent(H, D, V);
      List<Operand<TFloat32>> states = null;
      List<Operand<TFloat32>> steps = new ArrayList<>();
      for (int t = 0; t < length; t++) {
        Projected one =
            new Projected(
                piece(tf, arrays.get("q"), t, 1),
                piece(tf, arrays.get("k"), t, 1),
                piece(tf, arrays.get("v"), t, 1));
        var advance =
            t == 0
                ? recurrent.extend(tf, null, one, tf.constant(new float[][] {{1}}))
                : recurrent.step(tf, states, one);
        states = advance.states();
        steps.add(advance.output());
      }
      var stepped = tf.concat(steps, tf.constant(2));
      try (Result result = session.runner().fetch(pieces).fetch(stepped).run()) {
        for (int which = 0; which < 2; which++) {
          float[] some = Tensors.floats(result.get(which));
          for (int i = 0; i < some.length; i++) {
            assertThat((double) some[i])
                .as("%d, position %d", which, i / V % length)
                .isCloseTo(parallel[i], Assertions.within(1e-5 * GraphRun.maxAbs(parallel)));
          }
        }
      }
    }
  }

  /** Of random sizes, or all at once where {@code random} is null. */
  private static Operand<TFloat32> inPieces(
      Ops tf, FavorConfig config, Map<String, NpyArray> arrays, int length, Random random) {
    RecurrentForm recurrent = attention(tf, config, arrays.get("P")).recurrent(H, D, V);
    List<Operand<TFloat32>> states = null;
    List<Operand<TFloat32>> outputs = new ArrayList<>();
    int piece;
    for (int from = 0; from < length; from += piece) {
      int some = random == null ? length : new int[] {0, 1, 7, 8, 20}[random.nextInt(5)];
      piece = Math.min(length - from, some);
      int kept = Math.max(piece, 1); // no piece is without a position: padding then
      Projected more =
          new Projected(
              piece(tf, arrays.get("q"), from, kept),
              piece(tf, arrays.get("k"), from, kept),
              piece(tf, arrays.get("v"), from, kept));
      var mask = tf.fill(tf.array(1, kept), tf.constant(piece == 0 ? 0f : 1f));
      RecurrentForm.Advance advance = recurrent.extend(tf, states, more, mask);
      states = advance.states();
      if (piece > 0) {
        outputs.add(advance.output());
      }
    }
    return outputs.size() == 1 ? outputs.get(0) : tf.concat(outputs, tf.constant(2));
  }

  private static Operand<TFloat32> piece(Ops tf, NpyArray x, int from, int count) {
    var size = tf.constant(new int[] {-1, -1, count, -1});
    return tf.slice(constant(tf, x), tf.constant(new int[] {0, 0, from, 0}), size);
  }

  @Test
  void aPromptCanBeTakenInAtOnce() {
    FavorConfig config = FavorConfig.of(Kernel.SOFTMAX).withCausal(true).withFeatures(32);
    Map<String, NpyArray> arrays = new LinkedHashMap<>(Inputs.random(5, 1, H, 10, 10, D, V, 1));
    arrays.put("P", Inputs.projection(config, D, 1));
    double[] parallel;
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      parallel = run.value(arrays);
    }
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      RecurrentForm recurrent = attention(tf, config, arrays.get("P")).recurrent(H, D, V);
      Operand<TFloat32> q = constant(tf, arrays.get("q"));
      Operand<TFloat32> k = constant(tf, arrays.get("k"));
      Operand<TFloat32> v = constant(tf, arrays.get("v"));
      Operand<TFloat32> mask =
          tf.constant(new float[][] {{1, 1, 1, 1, 1, 1, 1, 1, 1, 0}}); // all but the last
      var prompt = recurrent.extend(tf, null, new Projected(q, k, v), mask);
      var step =
          recurrent.step(tf, prompt.states(), new Projected(last(tf, q), last(tf, k), last(tf, v)));
      try (Session session = new Session(graph);
          Result r = session.runner().fetch(step.output()).run()) {
        float[] out = Tensors.floats(r.get(0));
        for (int h = 0; h < H; h++) {
          for (int c = 0; c < V; c++) {
            assertThat(out[h * V + c])
                .isCloseTo((float) parallel[(h * 10 + 9) * V + c], Assertions.within(1e-5f));
          }
        }
      }
    }
  }

  @Test
  void theProjectionDecidesTheSizeOfTheState() {
    FavorConfig config = FavorConfig.of(Kernel.HYPERBOLIC).withCausal(true).withFeatures(256);
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      FavorAttention attention = FavorAttention.of(config, tf.constant(new float[6][D]));
      assertThat(attention.recurrent(H, D, V).states().get(0).sizes())
          .containsExactly(H, V + 1, 12);
    }
  }

  @Test
  void statisticsOverHeadsHaveNoRecurrentForm() {
    FavorConfig config =
        FavorConfig.of(Kernel.SOFTMAX).withConvention(Convention.MODEL_GARDEN).withCausal(true);
    try (Graph graph = new Graph()) {
      Ops tf = Ops.create(graph);
      FavorAttention attention = FavorAttention.of(config, tf.constant(new float[4][4]));
      assertThatThrownBy(() -> attention.recurrent(1, 4, 4))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("model-garden")
          .hasMessageContaining("cannot generate");
    }
  }

  private static FavorAttention attention(Ops tf, FavorConfig config, NpyArray p) {
    return p == null ? FavorAttention.of(config) : FavorAttention.of(config, constant(tf, p));
  }

  private static Operand<TFloat32> constant(Ops tf, NpyArray x) {
    return tf.reshape(tf.constant(x.floats()), tf.constant(x.shape()));
  }

  private static Operand<TFloat32> last(Ops tf, Operand<TFloat32> x) {
    return tf.slice(x, tf.constant(new int[] {0, 0, 9, 0}), tf.constant(new int[] {-1, -1, 1, -1}));
  }

  private static Tensor position(float[] all, int length, int size, int t) {
    float[] result = new float[H * size];
    for (int h = 0; h < H; h++) {
      System.arraycopy(all, (h * length + t) * size, result, h * size, size);
    }
    return Tensors.of(result, 1, H, 1, size);
  }
}
