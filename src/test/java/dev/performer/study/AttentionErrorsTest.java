package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Directions;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.data.NpyArray;
import dev.performer.distill.TinyBert;
import dev.performer.model.PerformerConfig;
import dev.performer.study.AttentionErrors.Trial;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class AttentionErrorsTest {
  private static final PerformerConfig CONFIG = TinyBert.config("masked-lm");
  private static final Map<String, NpyArray> WEIGHTS = TinyBert.weights(CONFIG, 5);
  private static final List<int[]> SEQUENCES =
      List.of(new int[] {1, 4, 6, 2, 8, 9, 3, 5}, new int[] {2, 2, 7, 1, 10});

  private static Trial trial(String kernel, int features, Directions directions, Lengths lengths) {
    FavorConfig favor =
        FavorConfig.builder()
            .kernel(Kernel.of(kernel))
            .features(features)
            .directions(directions)
            .lengths(lengths)
            .seed(7L)
            .build();
    return new Trial(favor, favor.draw(TinyBert.HEAD_SIZE).orElseThrow().values());
  }

  private static List<AttentionErrors.Row> measure(Trial trial) {
    return new AttentionErrors(CONFIG, WEIGHTS)
        .measure(Collections.nCopies(CONFIG.layers(), trial), SEQUENCES, 0, 0);
  }

  @Test
  void fallsAsOneOverTheRootOfFeatures() {
    var few = measure(trial("hyperbolic", 64, Directions.IID, Lengths.CHI)).get(0);
    var many = measure(trial("hyperbolic", 4096, Directions.IID, Lengths.CHI)).get(0);
    assertThat(few.all().expected() / many.all().expected()).isCloseTo(8, within(1e-6));
    assertThat(few.all().measured() / many.all().measured()).isBetween(3.0, 20.0);
    assertThat(many.all().measured() / many.all().expected()).isBetween(0.5, 2.0);
    assertThat(many.all().medianMeasured() / many.all().medianExpected()).isBetween(0.3, 2.0);
  }

  @Test
  void norms() {
    var rows = measure(trial("softmax", 32, Directions.ORTHOGONAL, Lengths.SQRT_D));
    assertThat(rows).hasSize(CONFIG.layers());
    for (AttentionErrors.Row row : rows) {
      var all = row.all();
      assertThat(row.heads()).hasSize(CONFIG.heads());
      assertThat(all.queryNorm()).isPositive().isLessThan(all.largestQueryNorm());
      assertThat(all.keyNorm()).isPositive().isLessThan(all.largestKeyNorm());
      assertThat(all.largestLogit())
          .isPositive()
          .isLessThanOrEqualTo(
              all.largestQueryNorm() * all.largestKeyNorm() / Math.sqrt(TinyBert.HEAD_SIZE) + 1e-6);
      assertThat(row.heads().stream().mapToDouble(h -> h.largestQueryNorm()).max().orElseThrow())
          .isEqualTo(all.largestQueryNorm());
      assertThat(row.heads().stream().mapToDouble(h -> h.queryNorm()).average().orElseThrow())
          .isCloseTo(all.queryNorm(), within(1e-9));
    }
  }

  @Test
  void paddingDoesNotMatter() {
    var trials = Collections.nCopies(2, trial("hyperbolic", 64, Directions.IID, Lengths.CHI));
    var errors = new AttentionErrors(CONFIG, WEIGHTS);
    var bare = errors.measure(trials, SEQUENCES, 0, 0).get(1).all();
    var padded = errors.measure(trials, SEQUENCES, 0, 12).get(1).all();
    assertThat(padded.measured()).isCloseTo(bare.measured(), within(1e-4 * bare.measured()));
    assertThat(padded.expected()).isCloseTo(bare.expected(), within(1e-4 * bare.expected()));
    assertThat(padded.largestLogit()).isCloseTo(bare.largestLogit(), within(1e-4));
  }

  /** Beyond what double precision holds the expectation is infinite, never NaN or negative. */
  @Test
  void longQueries() {
    Map<String, NpyArray> long1 = new HashMap<>(WEIGHTS);
    String name = "layer_0/attention/query/kernel";
    float[] kernel = WEIGHTS.get(name).floats();
    for (int i = 0; i < kernel.length; i++) {
      kernel[i] *= 2000;
    }
    long1.put(name, NpyArray.of(kernel, WEIGHTS.get(name).shape()));
    var trials = Collections.nCopies(2, trial("softmax", 64, Directions.IID, Lengths.CHI));
    var row = new AttentionErrors(CONFIG, long1).measure(trials, SEQUENCES, 0, 0).get(0);
    assertThat(row.all().expected()).isPositive();
    assertThat(row.all().measured()).isFinite();
  }
}
