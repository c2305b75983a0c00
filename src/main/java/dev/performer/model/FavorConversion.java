package dev.performer.model;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
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
import java.util.stream.IntStream;
import org.tensorflow.ndarray.Shape;

/**
 * Exact attention of a model replaced by FAVOR+; all weights stay, each replaced layer gets a
 * projection of its own.
 *
 * @param favor what takes the place; only softmax kernels estimate what is replaced. Each layer
 *     keeps its causality, and layer i draws with {@code seed + i}
 * @param layers which layers; empty for all that attend exactly
 */
public record FavorConversion(FavorConfig favor, Set<Integer> layers) {

  /** What takes the place of exact attention where nothing else is chosen. */
  public static FavorKeys defaults() {
    return FavorConfig.builder().kernel(Kernel.CLOSEST).lengths(Lengths.SQRT_D);
  }

  /**
   * @param config of the converted model
   * @param weights all its variables by name, projections included
   * @param layers that were replaced
   */
  public record Converted(
      PerformerConfig config, Map<String, NpyArray> weights, List<Integer> layers) {}

  /**
   * Converts the encoder, or the only stack; decoders stay as they are.
   *
   * @param weights all variables of {@code config}, by name; not changed
   * @throws PerformerException if a layer is not there or does not attend exactly
   */
  public Converted apply(PerformerConfig config, Map<String, NpyArray> weights) {
    Set<Integer> chosen = chosen(config);
    List<AttentionConfig> attention =
        IntStream.range(0, config.layers())
            .mapToObj(
                i ->
                    chosen.contains(i)
                        ? new AttentionConfig.Favor(favor(config.attentionOf(i), i))
                        : config.attentionOf(i))
            .toList();
    var keys = JsonNodeFactory.instance.objectNode();
    var entries = keys.putArray("attention");
    attention.forEach(a -> entries.add(StrictJson.tree(a)));
    if (config.decoderLayers() > 0) {
      keys.set("decoderAttention", StrictJson.tree(config.decoderAttentionOf(0)));
      keys.set("crossAttention", StrictJson.tree(config.crossAttentionOf(0)));
    }
    PerformerConfig converted = config.with(keys, "convert");
    Map<String, NpyArray> all = new LinkedHashMap<>(weights);
    Map<String, Shape> shapes = Performer.shapes(converted);
    for (int layer : chosen) {
      String name = "layer_" + layer + "/attention/projection";
      if (shapes.containsKey(name)) {
        ProjectionMatrix p =
            converted.attentionOf(layer).projection(config.headSize()).orElseThrow();
        all.put(name, NpyArray.of(p.values(), p.shape()));
      }
    }
    return new Converted(converted, all, List.copyOf(chosen));
  }

  private Set<Integer> chosen(PerformerConfig config) {
    Set<Integer> chosen = new TreeSet<>(layers);
    if (layers.isEmpty()) {
      IntStream.range(0, config.layers())
          .filter(i -> config.attentionOf(i) instanceof AttentionConfig.Exact)
          .forEach(chosen::add);
      if (chosen.isEmpty()) {
        throw new PerformerException("no layer attends exactly; there is nothing to convert");
      }
    }
    for (int i : chosen) {
      if (i < 0 || i >= config.layers()) {
        throw new PerformerException(
            "there is no layer %d; the model has layers 0 to %d".formatted(i, config.layers() - 1));
      }
      if (!(config.attentionOf(i) instanceof AttentionConfig.Exact)) {
        throw new PerformerException(
            "layer " + i + " does not attend exactly, it is a Performer's already");
      }
    }
    return chosen;
  }

  /** What takes the place of the attention of layer {@code i}. */
  public FavorConfig favor(AttentionConfig replaced, int layer) {
    return favor.withCausal(replaced.isCausal()).ofLayer(layer);
  }
}
