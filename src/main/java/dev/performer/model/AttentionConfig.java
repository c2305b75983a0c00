package dev.performer.model;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.annotation.JsonPOJOBuilder;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorConfig.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.attention.modelgarden.KernelAttentionConfig.CausalWindowed;
import dev.performer.attention.projection.ProjectionMatrix;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * How one layer attends. In JSON and YAML: {@code {exact: true}}, {@code {kernel: relu, features:
 * 128, …}} for FAVOR+, or {@code {modelGarden: {featureTransform: exp, …}}}.
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

  /** What this answers, by its kind. */
  private <T> T by(
      Function<FavorConfig, T> favor, Function<KernelAttentionConfig, T> garden, T exact) {
    if (this instanceof Favor f) {
      return favor.apply(f.config());
    }
    return this instanceof ModelGarden g ? garden.apply(g.config()) : exact;
  }

  /** Whether position l sees keys 0 … l only. */
  default boolean isCausal() {
    boolean exact = this instanceof Exact e && e.causal();
    return by(FavorConfig::causal, c -> c.mixing() instanceof CausalWindowed, exact);
  }

  /** M, rows of the projection; 0 for none. */
  default int projectionRows() {
    return by(FavorConfig::features, KernelAttentionConfig::numRandomFeatures, 0);
  }

  /** The kernel that is estimated, or softmax itself. */
  default Kernel kernel() {
    return by(FavorConfig::kernel, KernelAttentionConfig::kernel, Kernel.DEFAULT);
  }

  /** The same attention as one layer has it: with the seed of its own projection. */
  default AttentionConfig ofLayer(int layer) {
    return by(c -> new Favor(c.ofLayer(layer)), c -> new ModelGarden(c.ofLayer(layer)), this);
  }

  /** Draws the projection {@code [M, D]}; empty where there is none. */
  default Optional<ProjectionMatrix> projection(int headSize) {
    return by(c -> c.draw(headSize), c -> c.projection(headSize), Optional.empty());
  }

  /** The same attention, causal or not. @throws PerformerException where it cannot be */
  default AttentionConfig withCausality(boolean causal) {
    if (this instanceof Exact exact) {
      return new Exact(causal, exact.maskQueries());
    } else if (this instanceof Favor favor) {
      return new Favor(favor.config().withCausal(causal));
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

    AttentionConfig attention() {
      boolean isExact = Boolean.TRUE.equals(exact);
      boolean isGarden = modelGarden != null;
      require(
          Stream.of(isExact, isGiven(), isGarden).filter(given -> given).count() <= 1,
          "attention is one of exact: true, kernel: … (FAVOR+) or modelGarden: {…}; their keys do not go together");
      require(
          isExact || isGarden || maskQueries == null, "attention.maskQueries needs exact: true");
      if (isExact) {
        return new Exact(Boolean.TRUE.equals(causal()), Boolean.TRUE.equals(maskQueries));
      } else if (isGarden) {
        require(causal() == null, "modelGarden is causal with useCausalWindowed, not with causal");
        return new ModelGarden(modelGarden);
      }
      String example = "attention needs exact: true, a kernel (such as %s) or modelGarden";
      require(kernel() != null, example, Kernel.DEFAULT);
      return new Favor(build());
    }
  }
}
