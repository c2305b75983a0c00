package dev.performer.pipeline;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.NpyArray;
import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import dev.performer.pipeline.AttentionMap.Source;
import dev.performer.study.ModelAttention.Head;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.function.ToIntFunction;
import java.util.stream.Collectors;

/** How a model attends in some sequences: tables, JSON, arrays. @param maps at least one */
public record AttentionReport(PerformerConfig model, List<AttentionMap> maps) {
  public AttentionReport {
    maps = List.copyOf(maps);
  }

  private List<Integer> layers() {
    return List.copyOf(maps.get(0).heads().keySet());
  }

  /** How near each head is to exact attention, in Markdown. */
  public String table() {
    StringBuilder text = new StringBuilder();
    text.append("| layer | attention | head | keys | distance | cosine | common |\n");
    text.append("|---|---|---|---|---|---|---|\n");
    for (int layer : layers()) {
      for (int head = 0; head < model.heads(); head++) {
        text.append(
            String.format(
                Locale.ROOT,
                "| %d | %s | %d | %.1f | %.3f | %.3f | %.2f |%n",
                layer,
                kind(model.attentionOf(layer)),
                head,
                mean(layer, head, Head::effective),
                mean(layer, head, Head::distance),
                mean(layer, head, Head::cosine),
                mean(layer, head, Head::common)));
      }
    }
    String meaning =
        """
        Means over %d queries. Keys: how many a query sees, as (Σw)²/Σw². Against exact attention of the same queries and keys:
        distance, half the sum of |differences| of the weights; cosine; common, the share of the %d largest that are its largest too.
        """;
    int queries = maps.stream().mapToInt(AttentionMap::length).sum();
    return text + meaning.formatted(queries, maps.get(0).top());
  }

  private static String kind(AttentionConfig attention) {
    if (attention instanceof AttentionConfig.Favor favor) {
      int features = favor.config().features();
      return favor.config().kernel() + (features == 0 ? "" : ", M = " + features);
    } else if (attention instanceof AttentionConfig.ModelGarden garden) {
      return "Model Garden, " + garden.config().kernel();
    }
    return attention.getClass().getSimpleName().toLowerCase(Locale.ROOT);
  }

  private double mean(int layer, int head, ToDoubleFunction<Head> of) {
    double sum = 0;
    double queries = 0;
    for (AttentionMap map : maps) {
      sum += map.length() * of.applyAsDouble(map.heads().get(layer).get(head));
      queries += map.length();
    }
    return sum / queries;
  }

  /** What a query of a sequence attends to most, in Markdown. */
  public String sources(AttentionMap map, int query) {
    StringBuilder text = new StringBuilder();
    String title =
        "Sequence %s, position %d '%s':%n%n| layer | head | attends to |%n|---|---|---|%n";
    text.append(title.formatted(map.name(), query, map.tokens().get(query)));
    for (int layer : layers()) {
      for (int head = 0; head < model.heads(); head++) {
        String sources =
            map.sources(layer, head, query).stream()
                .map(
                    s ->
                        String.format(
                            Locale.ROOT, "%d '%s' %.3f", s.position(), s.token(), s.weight()))
                .collect(Collectors.joining(", "));
        text.append("| %d | %d | %s |%n".formatted(layer, head, sources));
      }
    }
    return text.toString();
  }

  /** Heads, and what some queries of each sequence attend to most. */
  public ObjectNode json(ToQueries queries) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    var heads = json.putArray("heads");
    for (int layer : layers()) {
      for (int h = 0; h < model.heads(); h++) {
        heads
            .addObject()
            .put("layer", layer)
            .put("head", h)
            .put("keys", mean(layer, h, Head::effective))
            .put("distance", mean(layer, h, Head::distance))
            .put("cosine", mean(layer, h, Head::cosine))
            .put("common", mean(layer, h, Head::common))
            .put("farthestSum", largestTotal(layer, h));
      }
    }
    var sequences = json.putArray("sequences");
    for (AttentionMap map : maps) {
      ObjectNode one = sequences.addObject().put("name", map.name()).put("length", map.length());
      var rows = one.putArray("queries");
      for (int query : queries.of(map)) {
        ObjectNode row = rows.addObject().put("position", query);
        row.put("token", map.tokens().get(query));
        var all = row.putArray("heads");
        for (int layer : layers()) {
          for (int h = 0; h < model.heads(); h++) {
            var sources = all.addObject().put("layer", layer).put("head", h).putArray("sources");
            for (Source s : map.sources(layer, h, query)) {
              var source = sources.addObject().put("position", s.position());
              source.put("token", s.token()).put("weight", s.weight());
            }
          }
        }
      }
    }
    return json;
  }

  private double largestTotal(int layer, int head) {
    return maps.stream()
        .mapToDouble(map -> map.heads().get(layer).get(head).total())
        .max()
        .orElse(0);
  }

  /** Which queries of a sequence are shown. */
  @FunctionalInterface
  public interface ToQueries {
    int[] of(AttentionMap map);
  }

  /**
   * All of it, of N sequences, filled up to the longest, L and S: {@code layers} {@code [layers]},
   * {@code tokens} {@code [N, S]} (−1 for a class token, and behind the end), {@code lengths}
   * {@code [N]}; {@code sources} (−1 for none) and {@code weights} {@code [N, layers, H, L, k]};
   * {@code distance}, {@code cosine} and {@code common} {@code [N, layers, H]}; of rows that were
   * kept {@code queries} {@code [N, R]} (−1 for none) and {@code attention} {@code [N, layers, H,
   * R, S]}.
   */
  public Map<String, NpyArray> arrays() {
    int n = maps.size();
    int l = most(AttentionMap::length);
    int s = most(map -> map.ids().length);
    int k = most(AttentionMap::top);
    int r = most(map -> map.kept().length);
    int[] layers = layers().stream().mapToInt(i -> i).toArray();
    int heads = layers.length * model.heads();
    int[] tokens = filled(n * s);
    int[] queries = filled(n * r);
    int[] sources = filled(n * heads * l * k);
    float[] weights = new float[n * heads * l * k];
    float[] attention = new float[Math.multiplyExact(n * heads, Math.multiplyExact(r, s))];
    List<double[]> measures = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      AttentionMap map = maps.get(i);
      System.arraycopy(map.ids(), 0, tokens, i * s, map.ids().length);
      System.arraycopy(map.kept(), 0, queries, i * r, map.kept().length);
      int at = i * heads;
      for (int layer : layers) {
        for (Head head : map.heads().get(layer)) {
          for (int q = 0; q < map.length(); q++) {
            int to = (at * l + q) * k;
            System.arraycopy(head.sources(), q * map.top(), sources, to, map.top());
            System.arraycopy(head.weights(), q * map.top(), weights, to, map.top());
          }
          int keys = map.ids().length;
          for (int row = 0; row < map.kept().length; row++) {
            System.arraycopy(head.rows(), row * keys, attention, (at * r + row) * s, keys);
          }
          measures.add(new double[] {head.distance(), head.cosine(), head.common()});
          at++;
        }
      }
    }
    long[] ofHeads = {n, layers.length, model.heads()};
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    arrays.put("layers", NpyArray.of(layers, layers.length));
    arrays.put("tokens", NpyArray.of(tokens, n, s));
    arrays.put("lengths", NpyArray.of(maps.stream().mapToInt(AttentionMap::length).toArray(), n));
    arrays.put("sources", NpyArray.of(sources, n, layers.length, model.heads(), l, k));
    arrays.put("weights", NpyArray.of(weights, n, layers.length, model.heads(), l, k));
    List<String> names = List.of("distance", "cosine", "common");
    for (int i = 0; i < names.size(); i++) {
      int place = i;
      double[] values = measures.stream().mapToDouble(m -> m[place]).toArray();
      arrays.put(names.get(i), NpyArray.of(values, ofHeads));
    }
    if (r > 0) {
      arrays.put("queries", NpyArray.of(queries, n, r));
      arrays.put("attention", NpyArray.of(attention, n, layers.length, model.heads(), r, s));
    }
    return arrays;
  }

  private int most(ToIntFunction<AttentionMap> of) {
    return maps.stream().mapToInt(of).max().orElseThrow();
  }

  private static int[] filled(int size) {
    int[] all = new int[size];
    Arrays.fill(all, -1);
    return all;
  }
}
