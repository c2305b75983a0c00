package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import com.fasterxml.jackson.databind.annotation.JsonPOJOBuilder;
import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.attention.projection.ProjectionMatrix;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * How one layer attends. In JSON and YAML: {@code {exact: true}}, {@code {kernel: relu, features:
 * 128, …}} for FAVOR+, or {@code {modelGarden: {featureTransform: exp, …}}}.
 */
@JsonDeserialize(builder = AttentionConfig.Keys.class)
public sealed interface AttentionConfig {

  /** Whether position l sees keys 0 … l only. */
  boolean isCausal();

  /** M, rows of the projection; 0 for none. */
  int projectionRows();

  /** The kernel that is estimated, or softmax itself. */
  Kernel kernel();

  /** The same attention as one layer has it: with the seed of its own projection. */
  AttentionConfig ofLayer(int layer);

  /** Draws the projection {@code [M, D]}; empty where there is none. */
  Optional<ProjectionMatrix> projection(int headSize);

  /**
   * Softmax attention.
   *
   * @param causal whether position l sees keys 0 … l only
   * @param maskQueries whether queries that are padding see all positions alike, as in Flax; it
   *     changes nothing at real tokens
   */
  record Exact(boolean causal, boolean maskQueries) implements AttentionConfig {
    /** As Keras and PyTorch have it. */
    public Exact(boolean causal) {
      this(causal, false);
    }

    @JsonValue
    Map<String, Object> keys() {
      Map<String, Object> keys = new LinkedHashMap<>();
      keys.put("exact", true);
      if (maskQueries) {
        keys.put("maskQueries", true);
      }
      keys.put("causal", causal);
      return keys;
    }

    @Override
    public boolean isCausal() {
      return causal;
    }

    @Override
    public int projectionRows() {
      return 0;
    }

    @Override
    public Kernel kernel() {
      return Kernel.DEFAULT;
    }

    @Override
    public Exact ofLayer(int layer) {
      return this;
    }

    @Override
    public Optional<ProjectionMatrix> projection(int headSize) {
      return Optional.empty();
    }
  }

  /** FAVOR+. Where one entry stands for all layers, {@code draw} decides about their seeds. */
  record Favor(@JsonValue FavorConfig config) implements AttentionConfig {
    /** Of a kernel, all else by default: bidirectional, 256 features for softmax kernels. */
    public static Favor of(Kernel kernel) {
      return new Favor(FavorConfig.of(kernel));
    }

    @Override
    public boolean isCausal() {
      return config.causal();
    }

    @Override
    public int projectionRows() {
      return config.features();
    }

    @Override
    public Kernel kernel() {
      return config.kernel();
    }

    @Override
    public Favor ofLayer(int layer) {
      return new Favor(config.ofLayer(layer));
    }

    @Override
    public Optional<ProjectionMatrix> projection(int headSize) {
      return config.draw(headSize);
    }
  }

  /** Model Garden's KernelAttention; one entry for all layers gives layer i {@code seed + i}. */
  record ModelGarden(KernelAttentionConfig config) implements AttentionConfig {
    @JsonValue
    Map<String, Object> keys() {
      return Map.of("modelGarden", config);
    }

    @Override
    public boolean isCausal() {
      return config.mixing() instanceof KernelAttentionConfig.CausalWindowed;
    }

    @Override
    public int projectionRows() {
      return config.numRandomFeatures();
    }

    @Override
    public Kernel kernel() {
      return config.kernel();
    }

    @Override
    public ModelGarden ofLayer(int layer) {
      return new ModelGarden(config.ofLayer(layer));
    }

    @Override
    public Optional<ProjectionMatrix> projection(int headSize) {
      return config.projection(headSize);
    }
  }

  /** The same attention, causal or not. @throws PerformerException where it cannot be */
  default AttentionConfig withCausality(boolean causal) {
    if (this instanceof Exact exact) {
      return new Exact(causal, exact.maskQueries());
    } else if (this instanceof Favor favor) {
      return new Favor(favor.config().withCausal(causal));
    }
    if (causal == isCausal()) {
      return this;
    }
    throw new PerformerException(
        "modelGarden attention is "
            + (causal ? "not causal; set decoderAttention" : "causal; set crossAttention")
            + " in the configuration");
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
      int kinds = (isExact ? 1 : 0) + (isGiven() ? 1 : 0) + (modelGarden == null ? 0 : 1);
      if (kinds > 1) {
        throw new PerformerException(
            "attention is one of exact: true, kernel: … (FAVOR+) or modelGarden: {…}; their keys do"
                + " not go together");
      }
      if (modelGarden != null) {
        if (causal() != null) {
          throw new PerformerException(
              "attention.modelGarden is causal with useCausalWindowed: true, not with causal");
        }
        return new ModelGarden(modelGarden);
      }
      if (isExact) {
        return new Exact(Boolean.TRUE.equals(causal()), Boolean.TRUE.equals(maskQueries));
      }
      if (maskQueries != null) {
        throw new PerformerException("attention.maskQueries needs exact: true");
      }
      if (kernel() == null) {
        throw new PerformerException(
            "attention needs exact: true, a kernel (such as "
                + Kernel.DEFAULT
                + ") or modelGarden");
      }
      return new Favor(build());
    }
  }
}
