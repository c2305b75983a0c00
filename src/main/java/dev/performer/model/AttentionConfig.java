package dev.performer.model;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.annotation.JsonPOJOBuilder;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.attention.modelgarden.KernelAttentionConfig.CausalWindowed;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.nn.ReformerConfig;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * How one layer attends. In JSON and YAML: {@code {exact: true}}, {@code {kernel: relu, features:
 * 128, …}} for FAVOR+, {@code {modelGarden: {featureTransform: exp, …}}}, {@code {reformer:
 * {buckets: 64, …}}} or {@code {linformer: {rank: 256}}}.
 */
@JsonDeserialize(builder = AttentionConfig.Keys.class)
public sealed interface AttentionConfig {
  /**
   * Softmax attention; where queries are masked, padding sees all positions alike, as in Flax,
   * which changes nothing at real tokens.
   */
  record Exact(boolean causal, boolean maskQueries) implements AttentionConfig {
    /** As Keras and PyTorch have it. */
    public Exact(boolean causal) {
      this(causal, false);
    }

    @JsonValue
    Map<String, Object> keys() {
      Map<String, Object> keys = new LinkedHashMap<>(Map.of("exact", true));
      if (maskQueries) {
        keys.put("maskQueries", true);
      }
      keys.put("causal", causal);
      return keys;
    }
  }

  /** FAVOR+. Where one entry stands for all layers, {@code draw} decides about their seeds. */
  record Favor(@JsonValue FavorConfig config) implements AttentionConfig {
    /** Of a kernel, all else by default: bidirectional, 256 features for softmax kernels. */
    public static Favor of(Kernel kernel) {
      return new Favor(FavorConfig.of(kernel));
    }
  }

  /** Model Garden's KernelAttention; one entry for all layers gives layer i {@code seed + i}. */
  record ModelGarden(KernelAttentionConfig config) implements AttentionConfig {
    @JsonValue
    Map<String, Object> keys() {
      return Map.of("modelGarden", config);
    }
  }

  /** Reformer's attention, a baseline; one entry for all layers gives layer i {@code seed + i}. */
  record Reformer(ReformerConfig config, boolean causal) implements AttentionConfig {
    @JsonValue
    Map<String, Object> keys() {
      return Map.of("reformer", config, "causal", causal);
    }
  }

  /** Linformer's attention, a baseline: k mixtures of positions, learned, never causal. */
  @JsonDeserialize
  record Linformer(@JsonProperty("rank") int rank) implements AttentionConfig {
    /** Checks the number of mixtures. */
    public Linformer {
      require(rank >= 1, "linformer.rank must be 1 or more, not %d", rank);
    }

    @JsonValue
    Map<String, Object> keys() {
      return Map.of("linformer", Map.of("rank", rank));
    }
  }

  /** What this answers, by its kind; {@code other} for those without random numbers. */
  private <T> T by(
      Function<FavorConfig, T> favor,
      Function<KernelAttentionConfig, T> garden,
      Function<Reformer, T> reformer,
      T other) {
    if (this instanceof Favor f) {
      return favor.apply(f.config());
    } else if (this instanceof Reformer r) {
      return reformer.apply(r);
    }
    return this instanceof ModelGarden g ? garden.apply(g.config()) : other;
  }

  /** Whether position l sees keys 0 … l only. */
  default boolean isCausal() {
    boolean exact = this instanceof Exact e && e.causal();
    return by(
        FavorConfig::causal, c -> c.mixing() instanceof CausalWindowed, Reformer::causal, exact);
  }

  /** M, rows of the projection; 0 for none. */
  default int projectionRows() {
    return by(
        FavorConfig::features,
        KernelAttentionConfig::numRandomFeatures,
        r -> r.config().directions(),
        0);
  }

  /** Scores, or features of queries and keys, that a position of a sequence has in each head. */
  default double scores(int length) {
    if (this instanceof Reformer r) {
      return 2.0 * r.config().rounds() * Math.min(length, r.config().chunk());
    }
    return this instanceof Linformer l
        ? l.rank()
        : this instanceof Exact ? length : projectionRows();
  }

  /** Whether a position sees those near it only. */
  default boolean isWindow() {
    return this instanceof Reformer r && r.config().buckets() == 1;
  }

  /** Whether keys are another sequence's than queries, as cross attention needs. */
  default boolean takesOtherKeys() {
    return !(this instanceof Reformer || this instanceof Favor f && f.config().window() > 0);
  }

  /** The kernel that is estimated, or softmax itself. */
  default Kernel kernel() {
    return by(
        FavorConfig::kernel, KernelAttentionConfig::kernel, r -> Kernel.DEFAULT, Kernel.DEFAULT);
  }

  /** The same attention as one layer has it: with the seed of its own projection. */
  default AttentionConfig ofLayer(int layer) {
    return by(
        c -> new Favor(c.ofLayer(layer)),
        c -> new ModelGarden(c.ofLayer(layer)),
        r -> new Reformer(r.config().ofLayer(layer), r.causal()),
        this);
  }

  /** Draws the projection {@code [M, D]}; empty where there is none. */
  default Optional<ProjectionMatrix> projection(int headSize) {
    return by(
        c -> c.draw(headSize),
        c -> c.projection(headSize),
        r -> r.config().draw(headSize),
        Optional.empty());
  }

  /** The same attention, causal or not. @throws PerformerException where it cannot be */
  default AttentionConfig withCausality(boolean causal) {
    if (this instanceof Exact exact) {
      return new Exact(causal, exact.maskQueries());
    } else if (this instanceof Favor favor) {
      return new Favor(favor.config().withCausal(causal));
    } else if (this instanceof Reformer reformer) {
      return new Reformer(reformer.config(), causal);
    } else if (this instanceof Linformer) {
      require(!causal, Keys.NEVER_CAUSAL + "; set decoderAttention");
      return this;
    }
    String key = causal ? "not causal; set decoderAttention" : "causal; set crossAttention";
    require(causal == isCausal(), "modelGarden attention is %s in the configuration", key);
    return this;
  }

  /** The keys of JSON and YAML: those of FAVOR+, and what makes an entry another kind. */
  @JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
  @JsonPOJOBuilder(buildMethodName = "attention")
  final class Keys extends FavorKeys {
    private Boolean exact;
    private Boolean maskQueries;
    private KernelAttentionConfig modelGarden;
    private ReformerConfig reformer;
    private Linformer linformer;

    private static final String NEVER_CAUSAL =
        "linformer mixes positions of the whole sequence, so it cannot be causal";

    AttentionConfig attention() {
      boolean isExact = Boolean.TRUE.equals(exact);
      boolean isGarden = modelGarden != null;
      var kinds = Stream.of(isExact, isGiven(), isGarden, reformer != null, linformer != null);
      require(
          kinds.filter(given -> given).count() <= 1,
          "attention is one of exact: true, kernel: … (FAVOR+), modelGarden: {…}, reformer: {…} or linformer: {…}; their keys do not go together");
      require(
          isExact || isGarden || maskQueries == null, "attention.maskQueries needs exact: true");
      boolean isCausal = Boolean.TRUE.equals(causal());
      if (isExact) {
        return new Exact(isCausal, Boolean.TRUE.equals(maskQueries));
      } else if (reformer != null) {
        return new Reformer(reformer, isCausal);
      } else if (linformer != null) {
        require(!isCausal, NEVER_CAUSAL + "; take another attention for a causal model");
        return linformer;
      } else if (isGarden) {
        require(causal() == null, "modelGarden is causal with useCausalWindowed, not with causal");
        return new ModelGarden(modelGarden);
      }
      String example =
          "attention needs exact: true, a kernel (such as %s), modelGarden, reformer or linformer";
      require(kernel() != null, example, Kernel.DEFAULT);
      return new Favor(build());
    }
  }
}
