package dev.performer.model;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiFunction;
import java.util.stream.IntStream;

/**
 * Exact attention of a model replaced by FAVOR+; all weights stay, each replaced layer gets a
 * projection of its own.
 *
 * @param favor what takes the place; only softmax kernels estimate what is replaced. Each layer
 *     keeps its causality, and layer i draws with {@code seed + i}
 * @param layers which layers; empty for all that attend exactly
 */
public record FavorConversion(FavorConfig favor, Set<Integer> layers) {
  /** Checks. @throws dev.performer.PerformerException if weights would fade */
  public FavorConversion {
    require(!favor.hasGate(), "what is replaced has no gates; convert with gate: none");
  }

  /** What takes the place of exact attention where nothing else is chosen. */
  public static FavorKeys defaults() {
    return FavorConfig.builder().kernel(Kernel.CLOSEST).lengths(Lengths.SQRT_D);
  }

  /** The same where a calibration says where queries and keys lie. */
  public static FavorKeys calibratedDefaults() {
    return FavorConfig.builder().kernel(Kernel.CALIBRATED);
  }

  /** The converted model, all its variables by name, and the layers that were replaced. */
  public record Converted(
      PerformerConfig config, Map<String, NpyArray> weights, List<Integer> layers) {}

  /**
   * Converts the encoder, or the only stack; decoders stay as they are.
   *
   * @param weights all variables of {@code config}, by name; not changed
   * @throws dev.performer.PerformerException if a layer is not there or does not attend exactly
   */
  public Converted apply(PerformerConfig config, Map<String, NpyArray> weights) {
    return apply(config, weights, Map.of());
  }

  /**
   * The same with what calibration found for the chosen layers, which then may be a Performer's
   * already; nothing for no calibration.
   */
  public Converted apply(
      PerformerConfig config,
      Map<String, NpyArray> weights,
      Map<Integer, LayerCalibration> calibrations) {
    Set<Integer> chosen = chosen(config, !calibrations.isEmpty());
    PerformerConfig converted =
        replaced(config, chosen, (own, i) -> new AttentionConfig.Favor(favor(own, i)));
    Map<String, NpyArray> all = new LinkedHashMap<>(weights);
    for (int i : chosen) {
      LayerCalibration found = calibrations.get(i);
      if (found != null) {
        found.fold(all, Performer.attentionOf(i), config.heads(), config.headSize());
      }
      var drawn = converted.attentionOf(i).projection(config.headSize());
      drawn.ifPresent(p -> draw(config, i, p, found, all));
    }
    return new Converted(converted, all, List.copyOf(chosen));
  }

  /** The model with exact attention in these layers, causal where they are. */
  public static PerformerConfig exact(PerformerConfig config, Set<Integer> layers) {
    return replaced(
        config,
        layers,
        (own, i) ->
            own instanceof AttentionConfig.Exact ? own : new AttentionConfig.Exact(own.isCausal()));
  }

  private static PerformerConfig replaced(
      PerformerConfig config,
      Set<Integer> layers,
      BiFunction<AttentionConfig, Integer, AttentionConfig> by) {
    var keys = JsonNodeFactory.instance.objectNode();
    var entries = keys.putArray("attention");
    for (int i = 0; i < config.layers(); i++) {
      AttentionConfig own = config.attentionOf(i);
      entries.add(StrictJson.tree(layers.contains(i) ? by.apply(own, i) : own));
    }
    if (config.decoderLayers() > 0) {
      keys.set("decoderAttention", StrictJson.tree(config.decoderAttentionOf(0)));
      keys.set("crossAttention", StrictJson.tree(config.crossAttentionOf(0)));
    }
    return config.with(keys, "convert");
  }

  private void draw(
      PerformerConfig config,
      int layer,
      ProjectionMatrix drawn,
      LayerCalibration found,
      Map<String, NpyArray> all) {
    all.put(Performer.projectionOf(layer), NpyArray.of(drawn.values(), drawn.shape()));
    if (favor.meantKernel().isCalibrated()) {
      int heads = config.heads();
      int size = config.headSize();
      var own = found == null ? LayerCalibration.none(heads, size) : found;
      own.place(all, Performer.attentionOf(layer), drawn.values(), heads, size);
    }
  }

  /** The layers that are converted; where they are calibrated, a Performer's may be so again. */
  public Set<Integer> chosen(PerformerConfig config, boolean isCalibrated) {
    Set<Integer> chosen = new TreeSet<>(layers);
    if (layers.isEmpty()) {
      IntStream.range(0, config.layers())
          .filter(i -> isExact(config, i) || isCalibrated && isSoftmax(config, i))
          .forEach(chosen::add);
      require(!chosen.isEmpty(), "no layer attends exactly; there is nothing to convert");
    }
    int last = config.layers() - 1;
    for (int i : chosen) {
      require(i >= 0 && i <= last, "there is no layer %d; the model has layers 0 to %d", i, last);
      require(
          isExact(config, i) || isCalibrated && isSoftmax(config, i),
          "layer %d does not attend exactly, it is a Performer's already",
          i);
    }
    return chosen;
  }

  private static boolean isExact(PerformerConfig config, int layer) {
    return config.attentionOf(layer) instanceof AttentionConfig.Exact;
  }

  /** Whether a layer estimates exact attention in our convention. */
  private static boolean isSoftmax(PerformerConfig config, int layer) {
    return config.attentionOf(layer) instanceof AttentionConfig.Favor own
        && !own.config().hasGate()
        && own.config().convention().equals(Convention.PERFORMER)
        && Kernel.unbiased().contains(own.config().kernel());
  }

  /** What takes the place of the attention of layer {@code i}. */
  public FavorConfig favor(AttentionConfig replaced, int layer) {
    return favor.withCausal(replaced.isCausal()).ofLayer(layer);
  }
}
