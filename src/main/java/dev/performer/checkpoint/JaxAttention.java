package dev.performer.checkpoint;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import java.util.List;

/** Attention of Google's JAX models as the options give it, over what a file has. */
final class JaxAttention {
  private JaxAttention() {}

  /** Whether the options give enough to do without a configuration. */
  static boolean isGiven(ImportOptions options) {
    return options.favor().kernel() != null
        || options.attention() == ImportOptions.AttentionKind.EXACT;
  }

  /**
   * How the layers attend.
   *
   * @param base of a file; null if there is none
   * @param causal where neither file nor options tell
   */
  static AttentionConfig over(
      AttentionConfig base, ImportOptions options, boolean causal, List<String> notes) {
    FavorKeys given = options.favor();
    AttentionConfig chosen = base;
    if (options.attention() == ImportOptions.AttentionKind.EXACT) {
      chosen = GinAttention.exact(causal);
    } else if (given.kernel() != null && (base == null || isOther(base, given.kernel()))) {
      chosen = new AttentionConfig.Favor(google(given, causal, notes));
    }
    if (base != null && !chosen.equals(base)) {
      notes.add(
          "attention is as given, %s, and not as the configuration has it: %s"
              .formatted(StrictJson.tree(chosen), StrictJson.tree(base)));
    }
    if (chosen instanceof AttentionConfig.Favor favor) {
      return new AttentionConfig.Favor(detailed(favor.config(), given, notes));
    }
    return given.causal() == null ? chosen : chosen.withCausality(given.causal());
  }

  private static boolean isOther(AttentionConfig base, Kernel kernel) {
    return !(base instanceof AttentionConfig.Favor favor && favor.kernel() == kernel);
  }

  private static FavorConfig google(FavorKeys given, boolean causal, List<String> notes) {
    if (given.kernel().isSoftmax() && given.features() == null) {
      notes.add("the number of features was not given: 256, Google's default");
    }
    return FavorConfig.builder()
        .kernel(given.kernel())
        .convention(Convention.GOOGLE_JAX)
        .causal(causal)
        .build();
  }

  private static FavorConfig detailed(FavorConfig base, FavorKeys given, List<String> notes) {
    FavorKeys builder = base.toBuilder();
    if (given.convention() != null) {
      builder.maskKeys(given.convention().masksKeys());
    }
    FavorConfig favor = given.over(builder).build();
    if (favor.hasProjection()) {
      notes.add(
          "the projection is not in the file: drawn as Google's code draws it at construction,"
              + " PRNGKey(%d), draw %s; all layers share it"
                  .formatted(favor.seed(), favor.draw().label()));
    }
    return favor;
  }
}
