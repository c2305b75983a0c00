package dev.performer.study;

import static dev.performer.study.Table.format;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.attention.FavorConfig;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import dev.performer.model.FavorConversion;
import dev.performer.model.FavorConversion.Converted;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.study.AttentionErrors.Errors;
import dev.performer.study.AttentionErrors.Trial;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;

/**
 * What a calibration changed, head by head, on sequences that it was made with.
 *
 * @param sequences how many were measured
 * @param tokens that calibrated
 * @param regularized heads with a direction along which queries or keys vary next to nothing
 */
public record CalibrationReport(int sequences, long tokens, int regularized, List<Head> heads) {
  /** Sequences that are measured at most, and tokens of one; the cost is the square of these. */
  private static final int SEQUENCES = 16;

  private static final int LENGTH = 256;

  /**
   * One head before and after.
   *
   * @param queryNorm root mean square of the length of q/D^¼, less its centre where it has one
   * @param keyNorm the same of a key
   * @param error root mean square error of attention's output relative to exact attention's
   * @param effectiveFeatures how many features carry a query's denominator, in the mean
   */
  public record Side(double queryNorm, double keyNorm, double error, double effectiveFeatures) {
    private static Side of(double queryNorm, double keyNorm, Errors errors) {
      return new Side(queryNorm, keyNorm, errors.measured(), errors.effectiveFeatures());
    }
  }

  /** A head as conversion alone would have it, and as calibration has it. */
  public record Head(int layer, int head, Side before, Side after) {}

  /**
   * Measures both on the first of the sequences.
   *
   * @param weights of the model before
   * @param converted the model after
   */
  public static CalibrationReport measure(
      PerformerConfig before,
      Map<String, NpyArray> weights,
      Converted converted,
      Calibrator.Found found,
      List<int[]> sequences,
      int pad,
      int paddedLength) {
    List<int[]> some =
        sequences.stream()
            .limit(SEQUENCES)
            .map(s -> Arrays.copyOf(s, Math.min(s.length, LENGTH)))
            .toList();
    Map<Integer, Trial> plain = new TreeMap<>();
    Map<Integer, Trial> calibrated = new TreeMap<>();
    for (int i : converted.layers()) {
      FavorConfig to = ((AttentionConfig.Favor) converted.config().attentionOf(i)).config();
      plain.put(i, plain(before.attentionOf(i), i, to, weights, before.headSize()));
      calibrated.put(i, Trial.stored(to, i, converted.weights()));
    }
    // Weights with a balance fitted in leave exact attention as it is.
    var exact = FavorConversion.exact(before, Set.copyOf(converted.layers()));
    var rows = of(exact, weights).measure(plain, some, pad, paddedLength);
    var rowsAfter = of(exact, converted.weights()).measure(calibrated, some, pad, paddedLength);
    List<Head> heads = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      int layer = rows.get(i).layer();
      for (int h = 0; h < before.heads(); h++) {
        Calibrator.Lengths of = found.lengths().get(layer).get(h);
        Errors own = rows.get(i).heads().get(h);
        Errors then = rowsAfter.get(i).heads().get(h);
        Side first = Side.of(of.query(), of.key(), own);
        heads.add(
            new Head(layer, h, first, Side.of(of.calibratedQuery(), of.calibratedKey(), then)));
      }
    }
    return new CalibrationReport(some.size(), found.tokens(), found.regularized(), heads);
  }

  private static AttentionErrors of(PerformerConfig exact, Map<String, NpyArray> weights) {
    Map<String, NpyArray> own = new LinkedHashMap<>(weights);
    own.keySet().retainAll(Performer.shapes(exact).keySet());
    return new AttentionErrors(exact, own);
  }

  /** JSON has no number for what is not finite: such an error is null there. */
  public ObjectNode json() {
    ObjectNode json = (ObjectNode) StrictJson.tree(this);
    for (var head : json.withArray("heads")) {
      for (String side : List.of("before", "after")) {
        ObjectNode of = (ObjectNode) head.get(side);
        of.properties().stream()
            .filter(field -> !Double.isFinite(field.getValue().asDouble(Double.NaN)))
            .forEach(field -> field.setValue(of.nullNode()));
      }
    }
    return json;
  }

  /** What attends there now, or what a conversion without calibration would put there. */
  private static Trial plain(
      AttentionConfig own, int layer, FavorConfig to, Map<String, NpyArray> weights, int size) {
    if (own instanceof AttentionConfig.Favor favor) {
      return Trial.stored(favor.config(), layer, weights);
    }
    FavorConfig favor = FavorConversion.defaults().over(to.toBuilder()).build();
    return new Trial(favor, favor.draw(size).orElseThrow().values());
  }

  /** Markdown, a line for each head. */
  public String table() {
    Table table =
        new Table(
            "layer | head | norm of q: before | after | norm of k: before | after"
                + " | relative error: before | after | effective features: before | after");
    for (Head head : heads) {
      Side a = head.before();
      Side b = head.after();
      table.row(
          format(
              "%d | %d | %.2f | %.2f | %.2f | %.2f | %.3f | %.3f | %.1f | %.1f",
              head.layer(),
              head.head(),
              a.queryNorm(),
              b.queryNorm(),
              a.keyNorm(),
              b.keyNorm(),
              a.error(),
              b.error(),
              a.effectiveFeatures(),
              b.effectiveFeatures()));
    }
    return table.toString();
  }

  /** One line for all heads. */
  public String summary() {
    String low =
        regularized == 0
            ? ""
            : format(
                "; %d heads vary next to nothing along a direction and were regularized",
                regularized);
    return format(
        "calibrated on %d tokens: attention's error in the median head %.2f -> %.2f, effective features %.0f -> %.0f%s",
        tokens,
        median(h -> h.before().error()),
        median(h -> h.after().error()),
        median(h -> h.before().effectiveFeatures()),
        median(h -> h.after().effectiveFeatures()),
        low);
  }

  private double median(ToDoubleFunction<Head> of) {
    return heads.stream().mapToDouble(of).sorted().toArray()[heads.size() / 2];
  }
}
