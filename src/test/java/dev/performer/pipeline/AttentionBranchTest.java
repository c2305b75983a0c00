package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.model.AttentionConfig;
import dev.performer.model.CausalSegments;
import dev.performer.model.PerformerConfig;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Each branch alone, and the same everything else. */
class AttentionBranchTest {
  private static final PerformerConfig MODEL =
      PerformerConfig.preset("performer")
          .with(
              "layers=2",
              "task=causal-lm",
              "attention=[{exact: true}, {kernel: hyperbolic, features: 8, window: 3, sinks: [0], seed: 5}]");

  @Test
  void switchesOffOneOfBoth() {
    var whole = ((AttentionConfig.Favor) MODEL.attentionOf(1)).config();
    var linear = AttentionBranch.LINEAR.alone(MODEL);
    assertThat(linear.attentionOf(0)).isEqualTo(MODEL.attentionOf(0));
    assertThat(((AttentionConfig.Favor) linear.attentionOf(1)).config())
        .isEqualTo(whole.toBuilder().window(0).sinks(List.of()).build());
    var exact = AttentionBranch.EXACT.alone(MODEL);
    assertThat(((AttentionConfig.Favor) exact.attentionOf(1)).config())
        .isEqualTo(whole.toBuilder().linear(false).build());
    assertThat(linear.with("attention=" + "{exact: true}"))
        .isEqualTo(MODEL.with("attention={exact: true}"));
  }

  @Test
  void segmentsAndCrossAttentionRefuseAWindow() {
    var all = MODEL.with("attention={kernel: hyperbolic, features: 8, window: 3}");
    assertThat(CausalSegments.obstacle(all).orElseThrow()).contains("layer 0 has a window");
    assertThatThrownBy(() -> all.with("task=sequence-to-sequence", "decoderLayers=1"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("crossAttention");
  }
}
