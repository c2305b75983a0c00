package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.chart.HeatMap;
import dev.performer.study.ModelAttention.Head;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * How a model attends in one sequence.
 *
 * @param name of the sequence
 * @param ids of the tokens at the positions that queries see, {@code [S]}; -1 for a class token
 * @param tokens their texts
 * @param length L, positions without padding, each a query
 * @param top sources of a query that are listed at most
 * @param kept queries whose rows are kept, ascending
 * @param heads of each layer, by its number
 */
public record AttentionMap(
    String name,
    int[] ids,
    List<String> tokens,
    int length,
    int top,
    int[] kept,
    Map<Integer, List<Head>> heads) {
  /** A position that a query attends to, and how much of the query's output comes from there. */
  public record Source(int position, String token, float weight) {}

  /** What a query attends to most, the largest weight first. */
  public List<Source> sources(int layer, int head, int query) {
    require(query >= 0 && query < length, "there is no position %d among %d", query, length);
    Head found = head(layer, head);
    List<Source> sources = new ArrayList<>();
    for (int i = query * top; i < (query + 1) * top && found.sources()[i] >= 0; i++) {
      int position = found.sources()[i];
      sources.add(new Source(position, tokens.get(position), found.weights()[i]));
    }
    return sources;
  }

  /** All weights of a query, {@code [S]}. @throws PerformerException if its row was not kept */
  public float[] row(int layer, int head, int query) {
    int place = Arrays.binarySearch(kept, query);
    require(place >= 0, "the row of position %d was not kept", query);
    int keys = ids.length;
    return Arrays.copyOfRange(head(layer, head).rows(), place * keys, (place + 1) * keys);
  }

  private Head head(int layer, int head) {
    List<Head> all = heads.get(layer);
    require(all != null, "layer %d was not looked at", layer);
    require(head >= 0 && head < all.size(), "there is no head %d among %d", head, all.size());
    return all.get(head);
  }

  /** A PNG of the rows that are kept, layers below each other, heads beside each other. */
  public byte[] png() {
    String tooLong = "a sequence of %d positions is too long for a picture; crop it to %d or less";
    require(kept.length > 0 && ids.length <= HeatMap.MOST, tooLong, ids.length, HeatMap.MOST);
    List<String> rows = Arrays.stream(kept).mapToObj(tokens::get).toList();
    List<List<HeatMap>> grid = new ArrayList<>();
    heads.forEach(
        (layer, all) -> {
          List<HeatMap> maps = new ArrayList<>();
          for (Head head : all) {
            String title = "layer %d, head %d".formatted(layer, maps.size());
            maps.add(new HeatMap(title, head.rows(), rows, tokens));
          }
          grid.add(maps);
        });
    return HeatMap.png(grid);
  }
}
