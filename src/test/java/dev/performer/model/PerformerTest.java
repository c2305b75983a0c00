package dev.performer.model;

import static dev.performer.model.SmallModels.build;
import static dev.performer.model.SmallModels.config;
import static dev.performer.model.SmallModels.loss;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.assertj.core.data.Offset.offset;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Variable;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.SmallModels.Built;
import dev.performer.nn.Dropout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt64;

/** What must hold for every model, whoever's weights it has. */
class PerformerTest {

  @ParameterizedTest
  @MethodSource("dev.performer.model.SmallModels#models")
  void shapesAndVariables(String keys) {
    PerformerConfig config = config(keys);
    try (ModelRun run = new ModelRun(config)) {
      Map<String, Shape> shapes = Performer.shapes(config);
      assertThat(run.variables.all()).hasSameSizeAs(shapes.keySet());
      for (Variable variable : run.variables.all()) {
        assertThat(variable.shape()).as(variable.name()).isEqualTo(shapes.get(variable.name()));
        assertThat(variable.trainable()).isEqualTo(!variable.name().endsWith("projection"));
      }
      for (int[] size : new int[][] {{1, 1}, {3, 11}}) {
        Built built = build(run, Dropout.none(), size[0], size[1]);
        int length = size[1] + (config.classToken() ? 1 : 0);
        assertThat(run.shape(built.feeds(), built.out().sequence()))
            .isEqualTo(Shape.of(size[0], length, 16));
        assertThat(run.shape(built.feeds(), built.out().pooled())).isEqualTo(Shape.of(size[0], 16));
        if (built.out().logits() != null) {
          int decoded = config.decoderLayers() > 0 ? size[1] + 3 : size[1];
          assertThat(run.shape(built.feeds(), built.out().logits()))
              .isEqualTo(Shape.of(size[0], decoded, 29));
          assertThat(built.out().logits().shape().get(2)).isEqualTo(29);
        }
        if (built.out().classLogits() != null) {
          assertThat(run.shape(built.feeds(), built.out().classLogits()))
              .isEqualTo(Shape.of(size[0], config.classes()));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("dev.performer.model.SmallModels#models")
  void gradientsOfAllVariablesAreTrue(String keys) {
    // A statistic of the data is held fixed on purpose; buckets jump where weights move.
    assumeThat(keys).doesNotContain("favor++").doesNotContain("reformer");
    try (ModelRun run = new ModelRun(config(keys))) {
      Random random = new Random(3);
      // Away from where initial values are zero, so that every gradient is alive.
      Map<String, float[]> all = run.values();
      for (String name : run.trainable()) {
        float[] values = all.get(name);
        for (int i = 0; i < values.length; i++) {
          values[i] += (float) (0.1 * random.nextGaussian());
        }
      }
      run.set(all);
      Built built = build(run, Dropout.none(), 2, 9);
      Operand<TFloat32> loss = loss(run, built.out());
      List<String> names = run.trainable();
      List<float[]> gradients =
          run.run(built.feeds(), List.copyOf(run.gradients(loss, names).values()));
      double analytic = 0;
      Map<String, float[]> moved = new HashMap<>();
      for (int i = 0; i < names.size(); i++) {
        float[] direction = new float[gradients.get(i).length];
        double own = 0;
        for (int j = 0; j < direction.length; j++) {
          direction[j] = (float) random.nextGaussian();
          own += direction[j] * gradients.get(i)[j];
        }
        if (!names.get(i).endsWith("key/bias") && !names.get(i).equals("embeddings/class_token")) {
          assertThat(largest(gradients.get(i))).as(names.get(i)).isPositive();
        }
        analytic += own;
        moved.put(names.get(i), direction);
      }
      double step = 2e-3;
      double up = movedLoss(run, built, loss, moved, step);
      double down = movedLoss(run, built, loss, moved, -2 * step);
      assertThat((up - down) / (2 * step))
          .isCloseTo(analytic, offset(0.02 * Math.abs(analytic) + 2e-3));
    }
  }

  private static double largest(float[] values) {
    double largest = 0;
    for (float value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }

  private static double movedLoss(
      ModelRun run,
      Built built,
      Operand<TFloat32> loss,
      Map<String, float[]> direction,
      double by) {
    Map<String, float[]> all = run.values();
    direction.forEach(
        (name, d) -> {
          for (int j = 0; j < d.length; j++) {
            all.get(name)[j] += (float) (by * d[j]);
          }
        });
    run.set(all);
    return run.run(built.feeds(), List.of(loss)).get(0)[0];
  }

  @Test
  void dropoutFollowsItsSeedAndStopsAtInference() {
    String rates =
        "dropout: {embeddings: 0.1, attention: 0.1, mlp: 0.1, residual: 0.1, classifier: 0.1}";
    for (String keys : SmallModels.models()) {
      PerformerConfig config = config(keys).with(Json.of(rates), "test");
      try (ModelRun run = new ModelRun(config)) {
        Operand<TInt64> seed = run.seed();
        Built trained = build(run, Dropout.of(seed), 2, 9);
        Operand<TFloat32> loss = loss(run, trained.out());
        NpyArray first = longs(1, 0);
        float a = trainedLoss(run, trained, loss, seed, first);
        assertThat(trainedLoss(run, trained, loss, seed, first)).isEqualTo(a);
        assertThat(trainedLoss(run, trained, loss, seed, longs(1, 1))).isNotEqualTo(a);
        assertThat(trainedLoss(run, trained, loss, seed, longs(2, 0))).isNotEqualTo(a);
        Built still = build(run, Dropout.none(), 2, 9);
        Operand<TFloat32> quiet = loss(run, still.out());
        float b = run.run(still.feeds(), List.of(quiet)).get(0)[0];
        assertThat(run.run(still.feeds(), List.of(quiet)).get(0)[0]).isEqualTo(b);
        assertThat(b).isNotEqualTo(a);
      }
    }
  }

  private static NpyArray longs(long a, long b) {
    ByteBuffer bytes = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(a).putLong(b);
    return new NpyArray(NpyType.INT64, new long[] {2}, bytes.array());
  }

  private static float trainedLoss(
      ModelRun run, Built built, Operand<TFloat32> loss, Operand<TInt64> seed, NpyArray value) {
    Map<Operand<?>, NpyArray> feeds = new HashMap<>(built.feeds());
    feeds.put(seed, value);
    return run.run(feeds, List.of(loss)).get(0)[0];
  }

  @Test
  void initialValuesFollowTheSeed() {
    PerformerConfig config = config("{task: masked-lm, %s}");
    try (ModelRun a = new ModelRun(config, 1);
        ModelRun b = new ModelRun(config, 1);
        ModelRun c = new ModelRun(config, 2)) {
      String kernel = "layer_0/attention/query/kernel";
      assertThat(a.value(kernel)).isEqualTo(b.value(kernel)).isNotEqualTo(c.value(kernel));
      assertThat(a.value(kernel)).isNotEqualTo(a.value("layer_0/attention/key/kernel"));
      String projection = "layer_1/attention/projection";
      assertThat(a.value(projection))
          .isEqualTo(c.value(projection))
          .isEqualTo(Performer.projections(config).get(projection).values())
          .isNotEqualTo(a.value("layer_0/attention/projection"));
    }
  }

  @Test
  void decodersNeedTheirTokens() {
    try (ModelRun run = new ModelRun(config("{task: masked-lm, %s}"))) {
      assertThatThrownBy(
              () ->
                  run.performer.apply(
                      run.tf, Inputs.of(run.ints()).withDecoder(run.ints(), null), Dropout.none()))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("sequence-to-sequence");
    }
    PerformerConfig pair = config("{task: sequence-to-sequence, %s, decoderLayers: 1}");
    try (ModelRun run = new ModelRun(pair)) {
      assertThatThrownBy(() -> run.performer.apply(run.tf, Inputs.of(run.ints()), Dropout.none()))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("decoder tokens");
    }
  }

  /** BERT's head, written out: dense, gelu with erf, layer norm, the token table, a bias. */
  @Test
  void tiedHeadIsItsFormula() {
    try (ModelRun run = new ModelRun(config("{preset: bert, %s}"))) {
      Random random = new Random(1);
      Map<String, float[]> all = run.values();
      all.forEach(
          (name, values) -> {
            for (int i = 0; name.startsWith("head/") && i < values.length; i++) {
              values[i] += (float) random.nextGaussian();
            }
          });
      run.set(all);
      Built built = build(run, Dropout.none(), 1, 3);
      List<float[]> out =
          run.run(built.feeds(), List.of(built.out().sequence(), built.out().logits()));
      float[] expected = new float[3 * 29];
      for (int l = 0; l < 3; l++) {
        double[] x = new double[16];
        double mean = 0;
        for (int j = 0; j < 16; j++) {
          double sum = all.get("head/transform/bias")[j];
          for (int i = 0; i < 16; i++) {
            sum += out.get(0)[l * 16 + i] * all.get("head/transform/kernel")[i * 16 + j];
          }
          x[j] = sum * normalCdf(sum);
          mean += x[j] / 16;
        }
        double variance = 0;
        for (double v : x) {
          variance += (v - mean) * (v - mean) / 16;
        }
        for (int t = 0; t < 29; t++) {
          double sum = all.get("head/logits/bias")[t];
          for (int j = 0; j < 16; j++) {
            double normed =
                (x[j] - mean) / Math.sqrt(variance + 1e-12) * all.get("head/norm/scale")[j]
                    + all.get("head/norm/bias")[j];
            sum += normed * all.get("embeddings/token")[t * 16 + j];
          }
          expected[l * 29 + t] = (float) sum;
        }
      }
      assertThat(ModelRun.error(out.get(1), expected)).isLessThan(1e-5);
    }
  }

  /** Φ(x), by the trapezoidal rule. */
  private static double normalCdf(double x) {
    int steps = 4000;
    double sum = 0;
    for (int i = 0; i <= steps; i++) {
      double t = x * i / steps;
      sum += (i == 0 || i == steps ? 0.5 : 1) * Math.exp(-t * t / 2);
    }
    return 0.5 + sum * x / steps / Math.sqrt(2 * Math.PI);
  }
}
