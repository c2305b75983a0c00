package dev.performer.model;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.data.NpyArray;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A trained table of positions stretched to longer sequences: n rows from m by linear
 * interpolation, row i at {@code i·(m−1)/(n−1)} of the old ones, so that first and last stay. With
 * {@code n = m} nothing changes; else positions stand closer than they were trained, which
 * fine-tuning gets used to.
 *
 * @param length tokens of the longest sequence
 */
public record InterpolatedPositions(int length) {
  /** The configuration and all its variables by name. */
  public record Converted(PerformerConfig config, Map<String, NpyArray> weights) {}

  /** One line on what was done. */
  public String note(PerformerConfig before) {
    return "positions interpolated from %d to %d tokens".formatted(before.maxLength(), length);
  }

  /**
   * @param weights all variables of {@code config}, by name; not changed
   * @throws dev.performer.PerformerException if there is no table, or other weights are by position
   */
  public Converted apply(PerformerConfig config, Map<String, NpyArray> weights) {
    String text =
        "positions are %s, of which there is no table to interpolate; such a model takes any length, rotary ones with rotaryScaling";
    require(config.positions().isTable(), text, label(config));
    text = "interpolated positions must be %d tokens or more, as now, not %d";
    require(length >= config.maxLength(), text, config.maxLength(), length);
    boolean isByPosition =
        config.pooling() == PerformerConfig.Pooling.FLATTEN || config.mixesPositions();
    text = "pooling flatten and linformer have weights for each position, which cannot be longer";
    require(!isByPosition || length == config.maxLength(), text);
    var keys = JsonNodeFactory.instance.objectNode().put("maxLength", length);
    PerformerConfig longer = config.with(keys, "positions");
    Map<String, NpyArray> all = new LinkedHashMap<>(weights);
    for (String name : new String[] {"embeddings/position", "decoder/embeddings/position"}) {
      all.computeIfPresent(name, (n, table) -> stretched(table, config, longer));
    }
    return new Converted(longer, all);
  }

  private static String label(PerformerConfig config) {
    return config.toJson().path("positions").asText();
  }

  /** Rows before the first token's, of padding, stay. */
  private static NpyArray stretched(NpyArray table, PerformerConfig from, PerformerConfig to) {
    int size = from.hiddenSize();
    int kept = from.firstPosition();
    float[] old = table.floats();
    float[] rows = new float[to.positionRows() * size];
    System.arraycopy(old, 0, rows, 0, kept * size);
    int m = from.longest();
    int n = to.longest();
    for (int i = 0; i < n; i++) {
      double at = n == 1 ? 0 : (double) i * (m - 1) / (n - 1);
      int below = (int) Math.min(Math.floor(at), m - 1);
      int above = Math.min(below + 1, m - 1);
      double share = at - below;
      for (int c = 0; c < size; c++) {
        float a = old[(kept + below) * size + c];
        float b = old[(kept + above) * size + c];
        rows[(kept + i) * size + c] = (float) ((1 - share) * a + share * b);
      }
    }
    return NpyArray.of(rows, to.positionRows(), size);
  }
}
