package dev.performer.model;

import static dev.performer.model.SmallModels.SMALL;
import static dev.performer.model.SmallModels.build;
import static dev.performer.model.SmallModels.config;
import static dev.performer.model.SmallModels.tokens;
import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.attention.Attention.Projected;
import dev.performer.data.NpyArray;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.SmallModels.Built;
import dev.performer.nn.Dropout;
import dev.performer.nn.HeadMixer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** What a model may see, and how its layers see it. */
class ModelAttentionTest {

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{preset: protein-lm, %s}",
        "{task: causal-lm, %s}",
        "{task: causal-lm, %s, attention: {kernel: relu, exactHeads: 2}}",
        "{task: causal-lm, %s, attention: {kernel: sderf, features: 8}}",
        "{task: causal-lm, %s, attention: {kernel: sderf, features: 8, window: 2, sinks: [0]}}",
        "{task: causal-lm, %s, attention: {reformer: {buckets: 2, chunk: 3}}}",
        "{task: sequence-to-sequence, %s, decoderLayers: 2, shiftBos: 25}"
      })
  void noLookingAhead(String keys) {
    try (ModelRun run = new ModelRun(config(keys))) {
      Built built = build(run, Dropout.none(), 1, 12);
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
        "{task: masked-lm, %s, classes: 2, attention: {kernel: sderf, features: 8, exactHeads: 1}}",
        "{task: masked-lm, %s, classes: 2, attention: {kernel: sderf, features: 8, window: 2, sinks: [0, -1]}}",
        "{task: masked-lm, %s, classes: 2, attention: {reformer: {buckets: 4, chunk: 4}}}",
        "{task: masked-lm, %s, classes: 2, attention: {linformer: {rank: 3}}}",
        "{task: masked-lm, %s, classes: 2, pooling: max, attention: {modelGarden: {featureTransform: relu}}}"
      })
  void paddingChangesNothing(String keys) {
    try (ModelRun run = new ModelRun(config(keys))) {
      Operand<TInt32> tokens = run.ints();
      Operand<TFloat32> mask = run.floats(2);
      Outputs out = run.performer.apply(run.tf, Inputs.of(tokens, mask), Dropout.none());
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
      Outputs known = run.performer.apply(run.tf, Inputs.of(tokens), Dropout.none());
      Outputs explicit = run.performer.apply(run.tf, Inputs.of(tokens, given), Dropout.none());
      List<float[]> both =
          run.run(
              Map.of(tokens, NpyArray.of(padded, 1, 10), given, NpyArray.of(mask, 1, 10)),
              List.of(known.logits(), explicit.logits()));
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
      Built built = build(run, Dropout.none(), 2, 12);
      return run.run(built.feeds(), List.of(built.out().logits())).get(0);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{task: masked-lm, %s}",
        "{task: causal-lm, %s, attention: {kernel: relu, exactHeads: 1}}",
        "{task: causal-lm, %s, attention: {kernel: relu, gate: token, exactHeads: 1}}",
        "{task: masked-lm, %s, attention: {reformer: {buckets: 2, chunk: 3}}}",
        "{task: masked-lm, %s, attention: {linformer: {rank: 3}}}",
        "{preset: bert, %s}",
        "{preset: protein-lm, %s}",
        "{preset: kernel-encoder, %s, attention: {modelGarden: {numRandomFeatures: 8}}}",
        "{preset: kernel-encoder, %s, padId: 27, attention: {modelGarden: {numRandomFeatures: 8, scaleByLength: true}}}",
        "{preset: kernel-encoder, %s, attention: {modelGarden: {isShortSeq: true, numRandomFeatures: 0}}}",
        "{preset: kernel-encoder, %s, padId: null, attention: {modelGarden: {useCausalWindowed: true, causalChunkLength: 1, causalWindowLength: 3, numRandomFeatures: 8}}}"
      })
  void attentionMapsMixTheValues(String keys) {
    try (ModelRun run = new ModelRun(config(keys))) {
      Built built = build(run, Dropout.none(), 2, 7);
      built.feeds().put(built.inputs().tokens(), padded());
      for (int layer = 0; layer < 2; layer++) {
        Outputs.Layer of = built.out().layers().get(layer);
        Operand<TInt32> all = run.tf.constant(new int[] {0, 1, 2, 3, 4, 5, 6});
        var given = new Projected(of.queries(), of.keys(), null, of.logGates());
        HeadMixer mixer = run.performer.attention(layer).mixer();
        Operand<TFloat32> map =
            mixer.weights(run.tf, given, built.out().mask(), all, new ArrayList<>());
        assertThat(run.shape(built.feeds(), map)).isEqualTo(Shape.of(2, 4, 7, 7));
        Operand<TFloat32> mixed =
            run.performer
                .attention(layer)
                .output(run.tf, run.tf.train.batchMatMul(map, of.values(), TFloat32.class));
        Operand<TFloat32> unit =
            run.tf.broadcastTo(
                run.tf.linalg.tensorDiag(run.tf.fill(run.tf.array(7), run.tf.constant(1f))),
                run.tf.array(2, 4, 7, 7));
        Operand<TFloat32> ofUnits =
            mixer
                .mix(
                    run.tf,
                    new Projected(of.queries(), of.keys(), unit, of.logGates()),
                    built.out().mask(),
                    Dropout.none())
                .rest();
        List<float[]> results =
            run.run(built.feeds(), List.of(mixed, of.attentionOutput(), map, ofUnits));
        assertThat(ModelRun.error(results.get(0), results.get(1))).isLessThan(1e-5);
        assertThat(ModelRun.error(results.get(2), results.get(3))).isLessThan(1e-5);
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
      Built whole = build(run, Dropout.none(), 2, 8);
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
                (layer, of) ->
                    run.performer
                        .attention(layer)
                        .mixer()
                        .mix(run.tf, of, null, Dropout.none())
                        .rest());
        List<float[]> both = run.run(whole.feeds(), List.of(piece.logits(), whole.out().logits()));
        assertThat(ModelRun.error(both.get(0), both.get(1))).isLessThan(1e-6);
      }
    }
  }

  @Test
  void aRedrawReplacesProjections() {
    PerformerConfig config = config("{task: masked-lm, %s, attention: {redrawEvery: 2}}");
    try (ModelRun run = new ModelRun(config)) {
      float[] before = run.value("layer_0/attention/projection");
      var ops =
          run.performer
              .redraws(run.tf, run.variables::get, run.tf.constant(new int[] {1, 2}))
              .get(2);
      assertThat(ops).hasSize(2);
      run.target(ops);
      float[] after = run.value("layer_0/attention/projection");
      assertThat(after).hasSameSizeAs(before).isNotEqualTo(before);
      assertThat(after).isNotEqualTo(run.value("layer_1/attention/projection"));
    }
  }

  @Test
  void rotaryWindowsTurnWindowsAlone() {
    String window = "{reformer: {buckets: 1, chunk: 4, rounds: 1}}";
    for (String attention : List.of(window, "{kernel: relu}", "{reformer: {buckets: 2}}")) {
      float[] turned = logits("rotary", attention);
      float[] alike = logits("none", attention);
      float[] found = logits("rotary-windows", attention);
      boolean isWindow = attention.equals(window);
      assertThat(ModelRun.error(found, isWindow ? turned : alike)).isLessThan(1e-6);
      assertThat(ModelRun.error(found, isWindow ? alike : turned)).isGreaterThan(1e-4);
    }
  }

  private static float[] logits(String positions, String attention) {
    String keys =
        "{task: causal-lm, positions: %s, attention: %s, ".formatted(positions, attention);
    try (ModelRun run = new ModelRun(config(keys + "%s}"))) {
      Built built = build(run, Dropout.none(), 2, 12);
      return run.run(built.feeds(), List.of(built.out().logits())).get(0);
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
                  (layer, of) ->
                      run.performer
                          .attention(layer)
                          .mixer()
                          .mix(run.tf, of, null, Dropout.none())
                          .rest());
          logits.add(out.logits());
        }
      }
      List<float[]> values = run.run(Map.of(tokens, tokens(2, 8, 5)), logits);
      assertThat(ModelRun.error(values.get(2), values.get(0))).isLessThan(1e-5);
      assertThat(ModelRun.error(values.get(1), values.get(0))).isGreaterThan(1e-4);
    }
  }
}
