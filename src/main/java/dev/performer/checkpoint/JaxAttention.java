package dev.performer.checkpoint;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorConfig.FavorKeys;
import dev.performer.checkpoint.ImportOptions.AttentionKind;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;

/** Attention of Google's JAX models as the options give it, over what a file has. */
final class JaxAttention {
  private JaxAttention() {}

  /** Whether the options give enough to do without a configuration. */
  static boolean isGiven(ImportOptions options) {
    return options.favor().kernel() != null || options.attention() == AttentionKind.EXACT;
  }

  /** How the layers attend, over the base of a file, or null; {@code causal} if nothing tells. */
  static AttentionConfig over(
      AttentionConfig base, ImportOptions options, boolean causal, WeightMap map) {
    FavorKeys given = options.favor();
    AttentionConfig chosen = base;
    boolean isBase =
        given.kernel() == null
            || base instanceof AttentionConfig.Favor favor && favor.kernel() == given.kernel();
    if (options.attention() == AttentionKind.EXACT) {
      chosen = GinAttention.exact(causal);
    } else if (!isBase) {
      FavorKeys google = FavorConfig.builder().convention(Convention.GOOGLE_JAX).causal(causal);
      chosen = new AttentionConfig.Favor(google.kernel(given.kernel()).build());
      if (given.kernel().isSoftmax() && given.features() == null) {
        map.note("the number of features was not given: 256, Google's default");
      }
    }
    if (base != null && !chosen.equals(base)) {
      map.note(
          "attention is as given, %s, and not as the configuration has it: %s"
              .formatted(StrictJson.tree(chosen), StrictJson.tree(base)));
    }
    if (chosen instanceof AttentionConfig.Favor favor) {
      return new AttentionConfig.Favor(detailed(favor.config(), given, map));
    }
    return given.causal() == null ? chosen : chosen.withCausality(given.causal());
  }

  private static FavorConfig detailed(FavorConfig base, FavorKeys given, WeightMap map) {
    FavorKeys builder = base.toBuilder();
    if (given.convention() != null) {
      builder.maskKeys(given.convention().masksKeys());
    }
    FavorConfig favor = given.over(builder).build();
    if (favor.hasProjection()) {
      map.note(
          "the projection is not in the file: drawn as Google's code draws it at construction, PRNGKey(%d), draw %s; all layers share it"
              .formatted(favor.seed(), favor.draw().label()));
    }
    return favor;
  }
}
