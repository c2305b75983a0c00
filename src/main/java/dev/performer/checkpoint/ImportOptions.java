package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.data.StrictJson;
import java.nio.file.Path;

/**
 * What is given of a checkpoint that the checkpoint does not tell; null where nothing is.
 *
 * @param scheme label of the naming scheme; null for the first that recognizes the tensors
 * @param preset name of a {@code PerformerConfig} preset to begin with
 * @param config a configuration file: a {@code config.gin}, or our own JSON or YAML
 * @param task what the model does, such as {@code causal-lm} or {@code masked-lm}
 * @param attention whether attention is exact or FAVOR+; a kernel means FAVOR+
 * @param favor what is given of FAVOR+, and whether attention of any kind is causal; never null
 * @param heads number of attention heads, where shapes do not tell
 * @param window of Model Garden's causal attention, in chunks
 * @param normFirst whether norms stand before each part, as Model Garden's norm_first has it
 * @param classes of a new classifier, where the checkpoint has none or another number of classes
 * @param pooling of a classifier: cls, mean, max, sum or flatten
 * @param maxLength longest sequence, where no table of positions tells
 * @param mapping a file from foreign names to ours
 * @param allowMissing whether to go on with missing, surplus or mis-shaped tensors
 */
public record ImportOptions(
    String scheme,
    String preset,
    Path config,
    String task,
    AttentionKind attention,
    FavorKeys favor,
    Integer heads,
    Integer window,
    Boolean normFirst,
    Integer classes,
    String pooling,
    Integer maxLength,
    Path mapping,
    boolean allowMissing) {
  /** Exact softmax attention or random features. */
  public enum AttentionKind {
    EXACT,
    FAVOR
  }

  /** Nothing given. */
  public static final ImportOptions NONE = builder().build();

  /** Checks. @throws PerformerException if the options contradict each other */
  public ImportOptions {
    if (attention == AttentionKind.EXACT && favor.kernel() != null) {
      throw new PerformerException(
              "exact attention has no kernel; leave out the kernel " + favor.kernel())
          .settledBy("kernel");
    }
    atLeast(0, favor.features(), "features cannot be negative: %s");
    atLeast(1, heads, "heads must be at least 1: %s");
    atLeast(1, window, "a window holds at least 1 chunk: %s");
    atLeast(1, classes, "a classifier has at least 1 class: %s");
    atLeast(1, maxLength, "the longest sequence needs a token: %s");
    boolean isCausal = window == null || !Boolean.FALSE.equals(favor.causal());
    require(isCausal, "a window is of causal attention; so causal cannot be false");
  }

  private static void atLeast(int least, Integer value, String otherwise) {
    require(value == null || value >= least, otherwise, value);
  }

  /** Nothing given. */
  public static ImportOptions none() {
    return NONE;
  }

  /** Whether the configuration file, which is no gin, gives a key. */
  boolean configHas(String key) {
    return config != null && StrictJson.readTree(config).hasNonNull(key);
  }

  /** The same with another kind of attention. */
  public ImportOptions with(AttentionKind kind) {
    return builder()
        .scheme(scheme)
        .preset(preset)
        .config(config)
        .task(task)
        .attention(kind)
        .favor(favor)
        .heads(heads)
        .window(window)
        .normFirst(normFirst)
        .classes(classes)
        .pooling(pooling)
        .maxLength(maxLength)
        .mapping(mapping)
        .allowMissing(allowMissing)
        .build();
  }

  public static Builder builder() {
    return new Builder();
  }

  /** Collects what is given; a null argument is the same as not calling the method. */
  public static final class Builder {
    private String scheme;
    private String preset;
    private Path config;
    private String task;
    private AttentionKind attention;
    private FavorKeys favor = FavorConfig.builder();
    private Integer heads;
    private Integer window;
    private Boolean normFirst;
    private Integer classes;
    private String pooling;
    private Integer maxLength;
    private Path mapping;
    private boolean allowMissing;

    private Builder() {}

    public Builder scheme(String value) {
      scheme = value;
      return this;
    }

    public Builder preset(String value) {
      preset = value;
      return this;
    }

    public Builder config(Path value) {
      config = value;
      return this;
    }

    public Builder task(String value) {
      task = value;
      return this;
    }

    public Builder attention(AttentionKind value) {
      attention = value;
      return this;
    }

    public Builder favor(FavorKeys value) {
      favor = value;
      return this;
    }

    public Builder heads(Integer value) {
      heads = value;
      return this;
    }

    public Builder window(Integer value) {
      window = value;
      return this;
    }

    public Builder normFirst(Boolean value) {
      normFirst = value;
      return this;
    }

    public Builder classes(Integer value) {
      classes = value;
      return this;
    }

    public Builder pooling(String value) {
      pooling = value;
      return this;
    }

    public Builder maxLength(Integer value) {
      maxLength = value;
      return this;
    }

    public Builder mapping(Path value) {
      mapping = value;
      return this;
    }

    public Builder allowMissing(boolean value) {
      allowMissing = value;
      return this;
    }

    public ImportOptions build() {
      return new ImportOptions(
          scheme,
          preset,
          config,
          task,
          attention,
          favor,
          heads,
          window,
          normFirst,
          classes,
          pooling,
          maxLength,
          mapping,
          allowMissing);
    }
  }
}
