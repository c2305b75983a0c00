package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Threefry;
import java.nio.file.Path;

/**
 * What a person says about a checkpoint that the checkpoint does not; null where nothing is said.
 *
 * @param scheme label of the naming scheme; null for the first that recognizes the tensors
 * @param preset name of a {@code PerformerConfig} preset to begin with
 * @param config a configuration file: a {@code config.gin}, or our own JSON or YAML
 * @param task what the model does, such as {@code causal-lm} or {@code masked-lm}
 * @param attention whether attention is exact or FAVOR+; a kernel means FAVOR+
 * @param kernel of FAVOR+
 * @param features M; 0 for no projection
 * @param convention whose constants and guards
 * @param directions of the projection
 * @param lengths of the projection's rows
 * @param seed of the projection
 * @param causal whether attention is causal
 * @param heads number of attention heads, where shapes do not tell
 * @param window of Model Garden's causal attention, in chunks
 * @param normFirst whether norms stand before each part, as Model Garden's norm_first says
 * @param pooling of a classifier: cls, mean, max, sum or flatten
 * @param maxLength longest sequence, where no table of positions tells
 * @param mapping a file from foreign names to ours
 * @param allowMissing whether to go on with missing, surplus or mis-shaped tensors
 * @param threefry which of JAX's random streams drew the projection
 */
public record ImportOptions(
    String scheme,
    String preset,
    Path config,
    String task,
    AttentionKind attention,
    Kernel kernel,
    Integer features,
    Convention convention,
    Projection.Directions directions,
    Projection.Lengths lengths,
    Long seed,
    Boolean causal,
    Integer heads,
    Integer window,
    Boolean normFirst,
    String pooling,
    Integer maxLength,
    Path mapping,
    boolean allowMissing,
    Threefry.Stream threefry) {

  /** Exact softmax attention or random features. */
  public enum AttentionKind {
    EXACT,
    FAVOR
  }

  /** Nothing said. */
  public static final ImportOptions NONE = builder().build();

  /**
   * @throws PerformerException if what is said contradicts itself
   */
  public ImportOptions {
    if (attention == AttentionKind.EXACT && kernel != null) {
      throw new PerformerException("exact attention has no kernel; leave out the kernel " + kernel)
          .settledBy("kernel");
    }
    if (features != null && features < 0) {
      throw new PerformerException("features cannot be negative: " + features);
    }
    if (heads != null && heads < 1) {
      throw new PerformerException("heads must be at least 1: " + heads);
    }
    if (window != null && window < 1) {
      throw new PerformerException("a window holds at least 1 chunk: " + window);
    }
    if (window != null && Boolean.FALSE.equals(causal)) {
      throw new PerformerException("a window is of causal attention; so causal cannot be false");
    }
    if (maxLength != null && maxLength < 1) {
      throw new PerformerException("the longest sequence needs a token: " + maxLength);
    }
  }

  /** Nothing said. */
  public static ImportOptions none() {
    return NONE;
  }

  /** The same without a configuration file, when that was read already. */
  ImportOptions withoutConfig() {
    return toBuilder().config(null).build();
  }

  /** The same with another kind of attention. */
  public ImportOptions with(AttentionKind kind) {
    return toBuilder().attention(kind).build();
  }

  private Builder toBuilder() {
    return builder()
        .scheme(scheme)
        .preset(preset)
        .config(config)
        .task(task)
        .attention(attention)
        .kernel(kernel)
        .features(features)
        .convention(convention)
        .directions(directions)
        .lengths(lengths)
        .seed(seed)
        .causal(causal)
        .heads(heads)
        .window(window)
        .normFirst(normFirst)
        .pooling(pooling)
        .maxLength(maxLength)
        .mapping(mapping)
        .allowMissing(allowMissing)
        .threefry(threefry);
  }

  public static Builder builder() {
    return new Builder();
  }

  /** Collects what is said; a null argument is the same as not calling the method. */
  public static final class Builder {
    private String scheme;
    private String preset;
    private Path config;
    private String task;
    private AttentionKind attention;
    private Kernel kernel;
    private Integer features;
    private Convention convention;
    private Projection.Directions directions;
    private Projection.Lengths lengths;
    private Long seed;
    private Boolean causal;
    private Integer heads;
    private Integer window;
    private Boolean normFirst;
    private String pooling;
    private Integer maxLength;
    private Path mapping;
    private boolean allowMissing;
    private Threefry.Stream threefry;

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

    public Builder kernel(Kernel value) {
      kernel = value;
      return this;
    }

    public Builder features(Integer value) {
      features = value;
      return this;
    }

    public Builder convention(Convention value) {
      convention = value;
      return this;
    }

    public Builder directions(Projection.Directions value) {
      directions = value;
      return this;
    }

    public Builder lengths(Projection.Lengths value) {
      lengths = value;
      return this;
    }

    public Builder seed(Long value) {
      seed = value;
      return this;
    }

    public Builder causal(Boolean value) {
      causal = value;
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

    public Builder threefry(Threefry.Stream value) {
      threefry = value;
      return this;
    }

    public ImportOptions build() {
      return new ImportOptions(
          scheme,
          preset,
          config,
          task,
          attention,
          kernel,
          features,
          convention,
          directions,
          lengths,
          seed,
          causal,
          heads,
          window,
          normFirst,
          pooling,
          maxLength,
          mapping,
          allowMissing,
          threefry);
    }
  }
}
