package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.assertj.core.data.Offset.offset;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.graph.Variable;
import dev.performer.nn.Dropout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/** What must hold for every model, whoever's weights it has. */
class PerformerTest {
  private static final String SMALL =
      "vocabularySize: 29, hiddenSize: 16, heads: 4, layers: 2, mlpSize: 24, maxLength: 40";

  static List<String> models() {
    return List.of(
        "{task: masked-lm, %s}",
        "{preset: protein-lm, %s}",
        "{task: causal-lm, %s, attention: {kernel: relu, exactHeads: 1}}",
        "{preset: kernel-encoder, %s, classes: 3, attention: {modelGarden: {numRandomFeatures: 8}}}",
        "{preset: bert, %s, classes: 2}",
        "{preset: lra-encoder, %s, classToken: true, pooling: cls, classifierSizes: [8]}",
        "{task: regression, %s, pooling: max, positions: sinusoidal, attention: {kernel: favor++, features: 8}}",
        "{task: sequence-to-sequence, %s, decoderLayers: 2, shiftBos: 25, activation: silu}",
        "{task: sequence-to-sequence, %s, decoderLayers: 1, tiedOutput: true, attention: {exact: true},"
            + " positions: learned, normalization: {position: post, embeddings: true}}");
  }

  private static PerformerConfig config(String keys) {
    return Json.config(keys.formatted(SMALL));
  }

  private static NpyArray tokens(int rows, int length, long seed) {
    Random random = new Random(seed);
    return NpyArray.of(random.ints((long) rows * length, 0, 20).toArray(), rows, length);
  }

  private record Built(Map<Operand<?>, NpyArray> feeds, Inputs inputs, Outputs out) {}

  private static Built build(ModelRun run, Mode mode, int rows, int length) {
    Map<Operand<?>, NpyArray> feeds = new HashMap<>();
    Operand<TInt32> tokens = run.ints();
    feeds.put(tokens, tokens(rows, length, 1));
    Inputs inputs = Inputs.of(tokens);
    if (run.config.decoderLayers() > 0) {
      Operand<TInt32> decoder = run.ints();
      feeds.put(decoder, tokens(rows, length + 3, 2));
      inputs = inputs.withDecoder(decoder, null);
    }
    return new Built(feeds, inputs, run.performer.apply(run.tf, inputs, mode));
  }

  /** Everything that an optimizer could want the gradient of. */
  private static Operand<TFloat32> loss(ModelRun run, Outputs out) {
    List<Operand<TFloat32>> parts = new ArrayList<>();
    for (Operand<TFloat32> x : Arrays.asList(out.logits(), out.classLogits())) {
      if (x != null) {
        parts.add(x);
      }
    }
    if (out.logits() == null || run.config.pooler()) {
      parts.add(out.pooled());
    }
    List<Operand<TFloat32>> sums = new ArrayList<>();
    for (Operand<TFloat32> x : parts) {
      Operand<TFloat32> flat = run.tf.reshape(x, run.tf.constant(new int[] {-1}));
      sums.add(run.tf.math.mean(run.tf.math.square(flat), run.tf.constant(0)));
    }
    return run.tf.math.addN(sums);
  }

  @ParameterizedTest
  @MethodSource("models")
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
        Built built = build(run, Mode.inference(), size[0], size[1]);
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
  @MethodSource("models")
  void gradientsOfAllVariablesAreTrue(String keys) {
    // Its statistic of the data is held fixed on purpose.
    assumeThat(keys).doesNotContain("favor++");
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
      Built built = build(run, Mode.inference(), 2, 9);
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

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{preset: protein-lm, %s}",
        "{task: causal-lm, %s}",
        "{task: causal-lm, %s, attention: {kernel: relu, exactHeads: 2}}",
        "{task: sequence-to-sequence, %s, decoderLayers: 2, shiftBos: 25}"
      })
  void noLookingAhead(String keys) {
    try (ModelRun run = new ModelRun(config(keys))) {
      Built built = build(run, Mode.inference(), 1, 12);
      boolean isPair = run.config.decoderLayers() > 0;
      Operand<TInt32> changed = isPair ? built.inputs().decoderTokens() : built.inputs().tokens();
      float[] before = run.run(built.feeds(), List.of(built.out().logits())).get(0);
      int[] other = built.feeds().get(changed).ints().clone();
      int length = other.length;
      int at = length - 4;
      other[at] = (other[at] + 5) % 20;
      built.feeds().put(changed, NpyArray.of(other, 1, length));
      float[] after = run.run(built.feeds(), List.of(built.out().logits())).get(0);
      boolean shifts = run.config.shiftBos() != null;
      int same = 29 * (shifts ? at + 1 : at);
      assertThat(ModelRun.error(Arrays.copyOf(after, same), Arrays.copyOf(before, same)))
          .isLessThan(2e-6);
      assertThat(
              ModelRun.error(
                  Arrays.copyOfRange(after, same, same + 29),
                  Arrays.copyOfRange(before, same, same + 29)))
          .isGreaterThan(1e-4);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{task: masked-lm, %s, classes: 2}",
        "{task: masked-lm, %s, classes: 2, attention: {kernel: softmax, features: 8, exactHeads: 2}}",
        "{preset: bert, %s, classes: 2}",
        "{task: masked-lm, %s, classes: 2, pooling: max, attention: {modelGarden: {featureTransform: relu}}}"
      })
  void paddingChangesNothing(String keys) {
    try (ModelRun run = new ModelRun(config(keys))) {
      Operand<TInt32> tokens = run.ints();
      Operand<TFloat32> mask = run.floats(2);
      Outputs out = run.performer.apply(run.tf, Inputs.of(tokens, mask), Mode.inference());
      int[] real = tokens(1, 9, 4).ints();
      int[] padded = Arrays.copyOf(real, 14);
      float[] ones = new float[9];
      Arrays.fill(ones, 1);
      List<Operand<TFloat32>> fetches = List.of(out.logits(), out.classLogits());
      List<float[]> alone =
          run.run(Map.of(tokens, NpyArray.of(real, 1, 9), mask, NpyArray.of(ones, 1, 9)), fetches);
      for (int fill : new int[] {3, 11}) {
        Arrays.fill(padded, 9, 14, fill);
        List<float[]> beside =
            run.run(
                Map.of(
                    tokens,
                    NpyArray.of(padded, 1, 14),
                    mask,
                    NpyArray.of(Arrays.copyOf(ones, 14), 1, 14)),
                fetches);
        assertThat(ModelRun.error(Arrays.copyOf(beside.get(0), 9 * 29), alone.get(0)))
            .isLessThan(2e-6);
        assertThat(ModelRun.error(beside.get(1), alone.get(1))).isLessThan(2e-6);
      }
    }
  }

  @Test
  void maskOfPadIdIsTheMaskGiven() {
    try (ModelRun run = new ModelRun(config("{task: masked-lm, %s}"))) {
      int[] padded = tokens(1, 10, 4).ints();
      Arrays.fill(padded, 7, 10, 27);
      float[] mask = {1, 1, 1, 1, 1, 1, 1, 0, 0, 0};
      Operand<TInt32> tokens = run.ints();
      Operand<TFloat32> given = run.floats(2);
      Outputs known = run.performer.apply(run.tf, Inputs.of(tokens), Mode.inference());
      Outputs told = run.performer.apply(run.tf, Inputs.of(tokens, given), Mode.inference());
      List<float[]> both =
          run.run(
              Map.of(tokens, NpyArray.of(padded, 1, 10), given, NpyArray.of(mask, 1, 10)),
              List.of(known.logits(), told.logits()));
      assertThat(both.get(0)).isEqualTo(both.get(1));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void allHeadsExactIsExactAttention(boolean causal) {
    String keys = "{task: masked-lm, %s, attention: ".formatted(SMALL);
    PerformerConfig exact = Json.config(keys + "{exact: true, causal: " + causal + "}}");
    PerformerConfig favor =
        Json.config(keys + "{kernel: softmax, exactHeads: 4, causal: " + causal + "}}");
    assertThat(logits(favor)).isEqualTo(logits(exact));
    PerformerConfig mixed =
        Json.config(keys + "{kernel: softmax, exactHeads: 2, causal: " + causal + "}}");
    assertThat(ModelRun.error(logits(mixed), logits(exact))).isGreaterThan(1e-5);
  }

  @Test
  void manyFeaturesComeCloseToExactAttention() {
    String keys = "{task: masked-lm, %s, attention: ".formatted(SMALL);
    float[] exact = logits(Json.config(keys + "{exact: true}}"));
    double few = ModelRun.error(logits(Json.config(keys + "{features: 2, lengths: chi}}")), exact);
    double many =
        ModelRun.error(logits(Json.config(keys + "{features: 4096, lengths: chi}}")), exact);
    assertThat(many).isLessThan(few / 2).isLessThan(0.2);
  }

  private static float[] logits(PerformerConfig config) {
    try (ModelRun run = new ModelRun(config)) {
      Built built = build(run, Mode.inference(), 2, 12);
      return run.run(built.feeds(), List.of(built.out().logits())).get(0);
    }
  }

  @Test
  void dropoutFollowsItsSeedAndStopsAtInference() {
    String rates =
        "dropout: {embeddings: 0.1, attention: 0.1, mlp: 0.1, residual: 0.1, classifier: 0.1}";
    for (String keys : models()) {
      PerformerConfig config = config(keys).with(Json.of(rates), "test");
      try (ModelRun run = new ModelRun(config)) {
        Operand<TInt64> seed = run.seed();
        Built trained = build(run, Mode.training(seed), 2, 9);
        Operand<TFloat32> loss = loss(run, trained.out());
        NpyArray first = longs(1, 0);
        float a = trainedLoss(run, trained, loss, seed, first);
        assertThat(trainedLoss(run, trained, loss, seed, first)).isEqualTo(a);
        assertThat(trainedLoss(run, trained, loss, seed, longs(1, 1))).isNotEqualTo(a);
        assertThat(trainedLoss(run, trained, loss, seed, longs(2, 0))).isNotEqualTo(a);
        Built still = build(run, Mode.inference(), 2, 9);
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

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{task: masked-lm, %s}",
        "{task: causal-lm, %s, attention: {kernel: relu, exactHeads: 1}}",
        "{preset: bert, %s}",
        "{preset: protein-lm, %s}",
        "{preset: kernel-encoder, %s, attention: {modelGarden: {numRandomFeatures: 8}}}"
      })
  void attentionMapsMixTheValues(String keys) {
    try (ModelRun run = new ModelRun(config(keys))) {
      Built built = build(run, Mode.inference(), 2, 7);
      built.feeds().put(built.inputs().tokens(), padded());
      for (int layer = 0; layer < 2; layer++) {
        Operand<TFloat32> map = run.performer.attentionMap(run.tf, layer, built.out());
        assertThat(run.shape(built.feeds(), map)).isEqualTo(Shape.of(2, 4, 7, 7));
        Outputs.Layer of = built.out().layers().get(layer);
        Operand<TFloat32> mixed =
            run.performer
                .attention(layer)
                .output(run.tf, run.tf.train.batchMatMul(map, of.values(), TFloat32.class));
        List<float[]> both = run.run(built.feeds(), List.of(mixed, of.attentionOutput()));
        assertThat(ModelRun.error(both.get(0), both.get(1))).isLessThan(1e-5);
      }
    }
  }

  private static NpyArray padded() {
    int[] ids = tokens(2, 7, 8).ints().clone();
    ids[5] = 27;
    ids[6] = 27;
    return NpyArray.of(ids, 2, 7);
  }

  @ParameterizedTest
  @ValueSource(strings = {"rotary", "learned", "sinusoidal", "learned-from-sinusoids"})
  void piecesAreTheWhole(String positions) {
    PerformerConfig config =
        config(
            "{task: causal-lm, positions: "
                + positions
                + ", padId: null, attention: {exact: true}, %s}");
    try (ModelRun run = new ModelRun(config)) {
      Built whole = build(run, Mode.inference(), 2, 8);
      // With attention over the piece alone, a piece that is the whole must equal it.
      Operand<TInt32> at = run.tf.range(run.tf.constant(0), run.tf.constant(8), run.tf.constant(1));
      Operand<TInt32> each =
          run.tf.broadcastTo(
              run.tf.expandDims(at, run.tf.constant(0)), run.tf.constant(new int[] {2, 8}));
      for (Operand<TInt32> p : List.of(at, each)) {
        Outputs piece =
            run.performer.applyPiece(
                run.tf,
                whole.inputs().tokens(),
                p,
                (layer, q, k, v) ->
                    run.performer
                        .attention(layer)
                        .mixer()
                        .mix(run.tf, q, k, v, null, Dropout.none())
                        .rest());
        List<float[]> both = run.run(whole.feeds(), List.of(piece.logits(), whole.out().logits()));
        assertThat(ModelRun.error(both.get(0), both.get(1))).isLessThan(1e-6);
      }
    }
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
  void aRedrawReplacesProjections() {
    PerformerConfig config = config("{task: masked-lm, %s, attention: {redrawEvery: 2}}");
    try (ModelRun run = new ModelRun(config)) {
      float[] before = run.value("layer_0/attention/projection");
      var ops = run.performer.redraw(run.tf, run.variables::get, run.tf.constant(new int[] {1, 2}));
      assertThat(ops).hasSize(2);
      run.target(ops);
      float[] after = run.value("layer_0/attention/projection");
      assertThat(after).hasSameSizeAs(before).isNotEqualTo(before);
      assertThat(after).isNotEqualTo(run.value("layer_1/attention/projection"));
    }
  }

  @Test
  void decodersNeedTheirTokens() {
    try (ModelRun run = new ModelRun(config("{task: masked-lm, %s}"))) {
      assertThatThrownBy(
              () ->
                  run.performer.apply(
                      run.tf,
                      Inputs.of(run.ints()).withDecoder(run.ints(), null),
                      Mode.inference()))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("sequence-to-sequence");
    }
    PerformerConfig pair = config("{task: sequence-to-sequence, %s, decoderLayers: 1}");
    try (ModelRun run = new ModelRun(pair)) {
      assertThatThrownBy(() -> run.performer.apply(run.tf, Inputs.of(run.ints()), Mode.inference()))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("decoder tokens");
    }
  }

  @Test
  void rotaryPositionsTellDistancesOnly() {
    PerformerConfig config = config("{task: causal-lm, %s, padId: null, attention: {exact: true}}");
    try (ModelRun run = new ModelRun(config)) {
      Operand<TInt32> tokens = run.ints();
      List<Operand<TFloat32>> logits = new ArrayList<>();
      for (int first : new int[] {0, 100}) {
        for (int stride : new int[] {1, 3}) {
          Operand<TInt32> at =
              run.tf.range(
                  run.tf.constant(first),
                  run.tf.constant(first + 8 * stride),
                  run.tf.constant(stride));
          Outputs out =
              run.performer.applyPiece(
                  run.tf,
                  tokens,
                  at,
                  (layer, q, k, v) ->
                      run.performer
                          .attention(layer)
                          .mixer()
                          .mix(run.tf, q, k, v, null, Dropout.none())
                          .rest());
          logits.add(out.logits());
        }
      }
      List<float[]> values = run.run(Map.of(tokens, tokens(2, 8, 5)), logits);
      assertThat(ModelRun.error(values.get(2), values.get(0))).isLessThan(1e-5);
      assertThat(ModelRun.error(values.get(1), values.get(0))).isGreaterThan(1e-4);
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
      Built built = build(run, Mode.inference(), 1, 3);
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
