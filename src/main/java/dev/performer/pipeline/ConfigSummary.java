package dev.performer.pipeline;

import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import java.util.Locale;

/** A model's configuration in a line. */
public final class ConfigSummary {
  private ConfigSummary() {}

  /** Such as {@code causal-lm, 3 layers of width 128, 4 heads of 32, …; causal FAVOR+ …}. */
  public static String of(PerformerConfig config) {
    String sizes =
        "%s, %d layer%s of width %d, %d heads of %d, MLP %d, vocabulary of %d, at most %d tokens; %s";
    return String.format(
        Locale.ROOT,
        sizes,
        config.task().label(),
        config.layers(),
        config.layers() == 1 ? "" : "s",
        config.hiddenSize(),
        config.heads(),
        config.headSize(),
        config.mlpSize(),
        config.vocabularySize(),
        config.maxLength(),
        of(config.attentionOf(0)));
  }

  private static String of(AttentionConfig attention) {
    String causal = attention.isCausal() ? "causal " : "";
    if (attention instanceof AttentionConfig.Favor favor) {
      var config = favor.config();
      String projection = config.hasProjection() ? "M = " + config.features() : "no projection";
      return "%sFAVOR+ with kernel %s, %s, convention %s"
          .formatted(causal, config.kernel(), projection, config.convention());
    }
    if (attention instanceof AttentionConfig.Reformer reformer) {
      var config = reformer.config();
      return "%sReformer's attention, %d buckets, chunks of %d, %d rounds"
          .formatted(causal, config.buckets(), config.chunk(), config.rounds());
    } else if (attention instanceof AttentionConfig.Linformer linformer) {
      return "Linformer's attention, k = " + linformer.rank();
    }
    int rows = attention.projectionRows();
    return attention instanceof AttentionConfig.ModelGarden
        ? causal + "Model Garden's KernelAttention" + (rows == 0 ? "" : ", M = " + rows)
        : causal + "exact softmax attention";
  }
}
