package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.ProjectionDraw;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig.DropoutRates;
import dev.performer.nn.ReformerConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class PerformerConfigTest {

  static List<String> presets() {
    return PerformerConfig.presets();
  }

  @ParameterizedTest
  @MethodSource("presets")
  void presetsComeBackFromJson(String name, @TempDir Path folder) throws IOException {
    PerformerConfig config = PerformerConfig.preset(name);
    assertThat(PerformerConfig.of(config.toJson(), "test")).isEqualTo(config);
    Path file = folder.resolve("model.json");
    StrictJson.write(file, config);
    assertThat(PerformerConfig.read(file)).isEqualTo(config);
  }

  @Test
  void everyKindOfAttentionComesBackFromJson() {
    PerformerConfig config =
        Json.config(
            """
            task: sequence-to-sequence
            layers: 3
            decoderLayers: 2
            padId: null
            shiftBos: 25
            attention:
              - {exact: true, maskQueries: true}
              - {kernel: relu, features: 8, convention: google-tf, directions: iid, lengths: sqrt-d, seed: 5,
                 redrawEvery: 10, chunk: 32, epsilon: 0.01, denominatorEpsilon: 0.1, renormalize: false, exactHeads: 1}
              - modelGarden: {featureTransform: relu, numRandomFeatures: 8, seed: 2, useCausalWindowed: true,
                              causalChunkLength: 4, causalWindowDecay: 0.9, causalPadding: right, scale: 0.5}
            decoderAttention: {exact: true}
            crossAttention: {kernel: softmax, features: 9}
            dropout: {attention: 0.2}
            """);
    assertThat(PerformerConfig.of(config.toJson(), "test")).isEqualTo(config);
    assertThat(config.dropout()).isEqualTo(new DropoutRates(0, 0.2, 0, 0, 0));
    assertThat(config.decoderAttentionOf(1)).isEqualTo(new AttentionConfig.Exact(true));
    assertThat(config.crossAttentionOf(0).isCausal()).isFalse();
    FavorConfig favor = ((AttentionConfig.Favor) config.attentionOf(1)).config();
    assertThat(favor.maskKeys()).isFalse();
    assertThat(favor.seed()).isEqualTo(5);
    assertThat(favor.draw()).isEqualTo(ProjectionDraw.GOOGLE_TF);
  }

  @Test
  void keysReplaceThoseOfThePreset(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("model.yaml");
    Files.writeString(
        file,
        """
        preset: performer       # a comment
        task: causal-lm
        normalization: {epsilon: 1.0e-5}
        attention: {features: 64}
        """);
    PerformerConfig config = PerformerConfig.read(file);
    FavorConfig favor = ((AttentionConfig.Favor) config.attentionOf(0)).config();
    assertThat(favor.features()).isEqualTo(64);
    assertThat(favor.kernel()).isEqualTo(Kernel.HYPERBOLIC);
    assertThat(favor.causal()).isTrue();
    assertThat(config.normalization().epsilon()).isEqualTo(1e-5);
    assertThat(config.normalization().last()).isTrue();
    assertThat(config.headSize()).isEqualTo(64);
    assertThat(config.mlpSize()).isEqualTo(1024);
  }

  @Test
  void baselinesComeBackFromJson() {
    PerformerConfig config =
        Json.config(
            """
            task: masked-lm
            layers: 3
            attention:
              - {reformer: {buckets: 8, chunk: 16, rounds: 3, seed: 4}}
              - {reformer: {}, causal: true}
              - {linformer: {rank: 24}}
            """);
    assertThat(PerformerConfig.of(config.toJson(), "test")).isEqualTo(config);
    var causal = new AttentionConfig.Reformer(ReformerConfig.DEFAULT, true);
    assertThat(config.attentionOf(1)).isEqualTo(causal);
    assertThat(config.longestSequence()).hasValue(config.maxLength());
    var other = Json.of("attention: {reformer: {chunk: 32}}");
    var replaced = Json.config("{preset: bert}").with(other, "test");
    assertThat(replaced.attentionOf(2))
        .isEqualTo(new AttentionConfig.Reformer(new ReformerConfig(64, 32, 2, 2), false));
    var changed = replaced.with(Json.of("attention: {reformer: {rounds: 4}}"), "test");
    assertThat(changed.attentionOf(0))
        .isEqualTo(new AttentionConfig.Reformer(new ReformerConfig(64, 32, 4, 0), false));
  }

  @Test
  void oneKindOfAttentionReplacesAnother() {
    assertThat(Json.config("attention: {exact: true}").attention())
        .containsExactly(new AttentionConfig.Exact(false));
    assertThat(Json.config("{preset: kernel-encoder, attention: {kernel: relu}}").attention())
        .containsExactly(AttentionConfig.Favor.of(Kernel.RELU));
    assertThat(
            Json.config("{preset: protein-lm}")
                .with(Json.of("attention: {kernel: relu}"), "test")
                .attentionOf(0))
        .isEqualTo(AttentionConfig.Favor.of(Kernel.RELU).withCausality(true));
  }

  @Test
  void layersHaveSeedsOfTheirOwn() {
    PerformerConfig one = Json.config("attention: {seed: 3}");
    assertThat(((AttentionConfig.Favor) one.attentionOf(2)).config().seed()).isEqualTo(5);
    PerformerConfig google = Json.config("attention: {kernel: softmax, convention: google-jax}");
    assertThat(((AttentionConfig.Favor) google.attentionOf(2)).config().seed()).isZero();
    PerformerConfig garden = Json.config("{preset: kernel-encoder}");
    assertThat(((AttentionConfig.ModelGarden) garden.attentionOf(7)).config().seed()).isEqualTo(7);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          {layres: 3}                                   | layres | layers
          {attention: {kernle: relu}}                   | kernle | kernel
          {attention: {reformer: {bucket: 4}}}          | bucket | buckets
          {attention: {reformer: {buckets: 3}}}         | buckets | even
          {attention: {reformer: {rounds: 0}}}          | rounds | 1 or more
          {attention: {reformer: {}, kernel: relu}}     | reformer | do not go together
          {attention: {linformer: {}}}                  | linformer.rank | 1 or more
          {task: causal-lm, attention: {linformer: {rank: 4}}} | linformer | cannot be causal
          {task: sequence-to-sequence, decoderLayers: 1, attention: {reformer: {}}} | reformer | crossAttention
          {task: sequence-to-sequence, decoderLayers: 1, attention: {linformer: {rank: 4}}} | causal | decoderAttention
          {attention: {kernel: rleu}}                   | rleu | relu
          {attention: {modelGarden: {featureTrans: exp}}} | featureTrans | featureTransform
          {attention: {kernel: relu, convention: google-jx}} | google-jx | google-jax
          {normalization: {epsilom: 1}}                 | epsilom | epsilon
          {preset: proteinlm}                           | proteinlm | protein-lm
          {preset: 3}                                   | preset | string
          {task: causal}                                | task | causal-lm
          {layers: many}                                | layers | whole number
          {layers: 2.5}                                 | layers | whole number
          {layers: 1000000000}                          | layers | at most 1000
          {hiddenSize: 2000000000, heads: 1}            | hiddenSize | at most
          {vocabularySize: 2000000000}                  | vocabularySize | matrix
          {attention: {features: 2000000000}}           | features | matrix
          {layers: 99999999999999}                      | layers | out of range
          {task: 1}                                     | task | causal-lm
          {layers: 0}                                   | layers | 1 or more
          {hiddenSize: 30}                              | hiddenSize 30 | heads 4
          {task: classification}                        | classes | number of classes
          {task: sequence-to-sequence}                  | decoderLayers | above 0
          {decoderLayers: 2}                            | decoderLayers | sequence-to-sequence
          {padId: 29}                                   | padId | 28
          {attention: {exact: true, kernel: relu}}      | attention | do not go together
          {attention: {exact: false}}                   | attention | kernel
          {attention: {kernel: softmax, features: 0}}   | features | projection
          {attention: {kernel: relu, exactHeads: 5}}    | exactHeads | 4 heads
          {task: sequence-to-sequence, decoderLayers: 1, decoderAttention: {kernel: relu, exactHeads: 5}} | decoderAttention.exactHeads | 4 heads
          {task: sequence-to-sequence, decoderLayers: 1, crossAttention: {kernel: relu, exactHeads: 5}} | crossAttention.exactHeads | 4 heads
          {attention: [{exact: true}, {exact: true}]}   | attention has 2 entries | 4 layers
          {task: causal-lm, attention: {kernel: favor++}} | favor++ | causal
          {dropout: {mlp: 1}}                           | dropout | below 1
          {classToken: true}                            | classToken | logits
          {hiddenSize: 12}                              | rotary | even
          [1, 2]                                        | test | object
          """)
  void refusesWithOneLine(String keys, String named, String reason) {
    assertThatThrownBy(() -> Json.config(keys))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(named)
        .hasMessageContaining(reason)
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
  }

  @ParameterizedTest
  @CsvSource({
    "'{kernel: softmax, convention: google-tf, directions: iid}', google-tf, iid",
    "'{kernel: exp, convention: model-garden, lengths: sqrt-d}', model-garden, sqrt-d",
    "'{kernel: softmax, convention: google-jax, directions: iid, lengths: sqrt-d}', jax-legacy, iid"
  })
  void projectionsThatAConventionCannotDrawAreRefused(String keys, String draw, String kind) {
    PerformerConfig config = Json.config("attention: " + keys);
    assertThatThrownBy(() -> Performer.projections(config))
        .isInstanceOf(PerformerException.class)
        .hasMessageContainingAll(draw, kind);
  }

  @Test
  void brokenFilesAreNamed(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("model.yaml");
    for (String text : List.of("", "null", "a: [", "layers: 2\nlayers: 3", "\u0000")) {
      Files.writeString(file, text);
      assertThatThrownBy(() -> PerformerConfig.read(file))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining(file.toString())
          .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
    }
  }
}
