package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Threefry;
import java.util.List;

/** Attention of Google's JAX models as a person says it, over what a file says. */
final class SaidAttention {
  private SaidAttention() {}

  /** Whether enough is said to do without a configuration. */
  static boolean isComplete(ImportOptions options) {
    return options.kernel() != null || options.attention() == ImportOptions.AttentionKind.EXACT;
  }

  /**
   * An attention entry of our configuration.
   *
   * @param base of a file; null if there is none
   * @param causal where neither file nor person says
   */
  static ObjectNode over(
      ObjectNode base, ImportOptions options, boolean causal, List<String> notes) {
    ObjectNode entry = base;
    if (options.attention() == ImportOptions.AttentionKind.EXACT) {
      entry = GinAttention.exact(causal);
    } else if (options.kernel() != null
        && (base == null || !options.kernel().label().equals(base.path("kernel").asText()))) {
      entry = fresh(options.kernel(), causal, options.features(), notes);
    }
    if (base != null && !entry.equals(base)) {
      notes.add(
          "attention is as said, " + entry + ", and not as the configuration has it: " + base);
    }
    if (options.causal() != null) {
      entry.put("causal", options.causal());
    }
    return entry.has("kernel") ? details(entry, options, notes) : entry;
  }

  private static ObjectNode fresh(
      Kernel kernel, boolean causal, Integer features, List<String> notes) {
    ObjectNode entry =
        JsonNodeFactory.instance
            .objectNode()
            .put("kernel", kernel.label())
            .put("convention", "google-jax")
            .put("causal", causal);
    if (kernel.isSoftmax() && features == null) {
      notes.add("the number of features was not said: 256, Google's default");
    }
    if (!kernel.isSoftmax()) {
      entry.put("denominatorEpsilon", 0);
    }
    return entry.put("features", kernel.isSoftmax() ? 256 : 0);
  }

  private static ObjectNode details(ObjectNode entry, ImportOptions options, List<String> notes) {
    if (options.features() != null) {
      entry.put("features", options.features());
    }
    if (options.convention() != null) {
      entry.put("convention", options.convention().label());
    }
    if (options.directions() != null) {
      entry.put("directions", options.directions().toString());
    }
    if (options.lengths() != null) {
      entry.put("lengths", options.lengths().toString());
    }
    if (entry.path("features").asInt() > 0) {
      boolean partitionable = options.threefry() == Threefry.Stream.PARTITIONABLE;
      long seed = options.seed() == null ? 0 : options.seed();
      entry.put("draw", partitionable ? "jax-partitionable" : "jax-legacy").put("seed", seed);
      notes.add(
          "the projection is not in the file: drawn as Google's code draws it at construction,"
              + " PRNGKey("
              + seed
              + "), "
              + (partitionable ? "partitionable" : "legacy")
              + " threefry; all layers share it");
    }
    return entry;
  }
}
