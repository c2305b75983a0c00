package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.FloatRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SamplingTest {
  private static final float[] LOGITS = {0.5f, -1, 2, 0, 1.5f, -3};
  private static final int DRAWS = 20_000;

  private static Sampling sampling(double temperature, int topK, double topP) {
    return new Sampling(false, temperature, topK, topP, 1, 0, 7);
  }

  private static int[] counts(Sampling sampling, float[] logits, Set<Integer> forbidden) {
    int[] counts = new int[logits.length];
    RandomGenerator random = new SplittableRandom(11);
    for (int i = 0; i < DRAWS; i++) {
      counts[sampling.next(logits, List.of(), forbidden, random)]++;
    }
    return counts;
  }

  private static double[] softmax(float[] logits, double temperature, Set<Integer> allowed) {
    double[] weights = new double[logits.length];
    for (int id : allowed) {
      weights[id] = Math.exp(logits[id] / temperature);
    }
    double sum = Arrays.stream(weights).sum();
    return Arrays.stream(weights).map(w -> w / sum).toArray();
  }

  /** At most 5 degrees of freedom: 20.5 is exceeded once in 1,000 right samplers. */
  private static void assertDistribution(int[] counts, double[] expected) {
    double chiSquare = 0;
    for (int id = 0; id < counts.length; id++) {
      if (expected[id] == 0) {
        assertThat(counts[id]).as("token " + id).isZero();
      } else {
        double mean = expected[id] * DRAWS;
        chiSquare += (counts[id] - mean) * (counts[id] - mean) / mean;
      }
    }
    assertThat(chiSquare).isLessThan(20.5);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.4, 1, 3})
  void frequenciesAreTheSoftmax(double temperature) {
    assertDistribution(
        counts(sampling(temperature, 0, 1), LOGITS, Set.of()),
        softmax(LOGITS, temperature, Set.of(0, 1, 2, 3, 4, 5)));
  }

  /** The test sees a wrong temperature. */
  @Test
  void frequenciesTellTemperaturesApart() {
    int[] counts = counts(sampling(1.1, 0, 1), LOGITS, Set.of());
    assertThatThrownBy(
            () -> assertDistribution(counts, softmax(LOGITS, 1, Set.of(0, 1, 2, 3, 4, 5))))
        .isInstanceOf(AssertionError.class);
  }

  @Test
  void restrictionsRenormalize() {
    assertDistribution(
        counts(sampling(1, 3, 1), LOGITS, Set.of()), softmax(LOGITS, 1, Set.of(0, 2, 4)));
    assertDistribution(
        counts(sampling(1, 3, 1), LOGITS, Set.of(2)), softmax(LOGITS, 1, Set.of(0, 3, 4)));
    // 0.50 + 0.30 reach 0.7
    assertDistribution(
        counts(sampling(1, 0, 0.7), LOGITS, Set.of()), softmax(LOGITS, 1, Set.of(2, 4)));
  }

  @Test
  void penaltiesCountTheWindowOnly() {
    Sampling penalized = new Sampling(true, 1, 0, 1, 10, 2, 0);
    RandomGenerator random = new SplittableRandom(1);
    assertThat(penalized.next(LOGITS, List.of(2), Set.of(), random)).isEqualTo(4);
    assertThat(penalized.next(LOGITS, List.of(2, 1, 1), Set.of(), random)).isEqualTo(2);
    assertThat(penalized.next(LOGITS, List.of(2, 4, 4), Set.of(), random)).isEqualTo(2);
    // negative logits are multiplied; tokens beyond the logits change nothing
    float[] negative = {-1, -2};
    assertThat(penalized.next(negative, List.of(0), Set.of(), random)).isEqualTo(1);
    assertThat(penalized.next(negative, List.of(0, 999), Set.of(), random)).isEqualTo(1);
  }

  @Test
  void infinities() {
    float inf = Float.POSITIVE_INFINITY;
    float[] one = {1, inf, 5, -inf};
    float[] two = {inf, 3, inf};
    for (double temperature : new double[] {0, 1e-300, 1, 1e300}) {
      Sampling sampling = sampling(temperature, 0, 1);
      assertThat(counts(sampling, one, Set.of())).containsExactly(0, DRAWS, 0, 0);
      assertThat(counts(sampling, one, Set.of(1))[3]).isZero();
      assertThat(counts(sampling, one, Set.of(0, 1))).containsExactly(0, 0, DRAWS, 0);
    }
    assertDistribution(counts(sampling(1, 0, 1), two, Set.of()), new double[] {0.5, 0, 0.5});
    assertThatThrownBy(() -> counts(sampling(1, 0, 1), new float[] {-inf, -inf}, Set.of()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no token may come");
    assertThatThrownBy(() -> counts(sampling(1, 0, 1), new float[] {1}, Set.of(0)))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no token may come");
  }

  @Test
  void notANumberIsAnError() {
    for (Sampling sampling : List.of(Sampling.mostLikely(), sampling(1, 2, 0.5))) {
      assertThatThrownBy(() -> counts(sampling, new float[] {1, Float.NaN, 2}, Set.of(1)))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("token 1")
          .hasMessageContaining("NaN");
    }
  }

  @Test
  void extremes() {
    int[] coldest = {0, 0, DRAWS, 0, 0, 0};
    assertThat(counts(sampling(0, 0, 1), LOGITS, Set.of())).isEqualTo(coldest);
    assertThat(counts(sampling(1e-300, 0, 1), LOGITS, Set.of())).isEqualTo(coldest);
    assertThat(counts(sampling(5, 1, 1), LOGITS, Set.of())).isEqualTo(coldest);
    assertThat(counts(sampling(5, 0, 0), LOGITS, Set.of())).isEqualTo(coldest);
    double[] uniform = new double[6];
    Arrays.fill(uniform, 1 / 6.0);
    assertDistribution(counts(sampling(1e300, 0, 1), LOGITS, Set.of()), uniform);
    assertThat(counts(sampling(1, 1000, 1), LOGITS, Set.of()))
        .isEqualTo(counts(sampling(1, 0, 1), LOGITS, Set.of()));
  }

  @Test
  void numbersOutOfRange() {
    assertRefused("temperature", -1, 0, 1, 1, 0);
    assertRefused("temperature", Double.NaN, 0, 1, 1, 0);
    assertRefused("temperature", Double.POSITIVE_INFINITY, 0, 1, 1, 0);
    assertRefused("top-k", 1, -1, 1, 1, 0);
    assertRefused("top-p", 1, 0, 1.1, 1, 0);
    assertRefused("top-p", 1, 0, Double.NaN, 1, 0);
    assertRefused("repetition-penalty", 1, 0, 1, 0, 0);
    assertRefused("repetition-window", 1, 0, 1, 1, -1);
  }

  private static void assertRefused(
      String name, double temperature, int topK, double topP, double penalty, int window) {
    assertThatThrownBy(() -> new Sampling(false, temperature, topK, topP, penalty, window, 0))
        .isInstanceOf(PerformerException.class)
        .hasMessageStartingWith(name);
  }

  @Property(tries = 300)
  void onlyTheTopKCome(
      @ForAll @Size(min = 1, max = 12) List<@FloatRange(min = -5, max = 5) Float> values,
      @ForAll @IntRange(min = 1, max = 14) int k,
      @ForAll int seed) {
    float[] logits = floats(values);
    float[] sorted = logits.clone();
    Arrays.sort(sorted);
    float least = sorted[Math.max(0, logits.length - k)];
    RandomGenerator random = new Random(seed);
    for (int i = 0; i < 30; i++) {
      assertThat(logits[sampling(2, k, 1).next(logits, List.of(), Set.of(), random)])
          .isGreaterThanOrEqualTo(least);
    }
  }

  /** A token comes only if those above it have less than p together. */
  @Property(tries = 300)
  void onlyTheTopPCome(
      @ForAll @Size(min = 1, max = 12) List<@FloatRange(min = -5, max = 5) Float> values,
      @ForAll @DoubleRange(min = 0, max = 1) double p,
      @ForAll int seed) {
    float[] logits = floats(values);
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit);
    }
    RandomGenerator random = new Random(seed);
    for (int i = 0; i < 30; i++) {
      float chosen = logits[sampling(1, 0, p).next(logits, List.of(), Set.of(), random)];
      double above = 0;
      float highest = Float.NEGATIVE_INFINITY;
      for (float logit : logits) {
        above += logit > chosen ? Math.exp(logit) / sum : 0;
        highest = Math.max(highest, logit);
      }
      if (chosen < highest) {
        assertThat(above).isLessThan(p + 1e-9);
      }
    }
  }

  private static float[] floats(List<Float> values) {
    float[] result = new float[values.size()];
    for (int i = 0; i < result.length; i++) {
      result[i] = values.get(i);
    }
    return result;
  }
}
