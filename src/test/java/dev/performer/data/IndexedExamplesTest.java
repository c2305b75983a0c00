package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class IndexedExamplesTest {
  @Test
  void sharesGoRoundAndNumbersStay() {
    IndexedExamples mixed =
        IndexedExamples.mixed("both", List.of(part(0), part(100)), List.of(1, 2));
    assertThat(mixed.size()).isEqualTo(10);
    assertThat(IntStream.range(0, 10).map(i -> mixed.get(i).tokens()[0]).toArray())
        .containsExactly(0, 101, 102, 3, 104, 105, 6, 107, 108, 9);
  }

  @Test
  void refusesSharesThatFitNoParts() {
    assertThatThrownBy(() -> IndexedExamples.mixed("x", List.of(part(0)), List.of()))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> IndexedExamples.mixed("x", List.of(part(0)), List.of(0)))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static IndexedExamples part(int offset) {
    return ExampleSource.of(
        "part", IntStream.range(offset, offset + 10).mapToObj(i -> Example.of(i)).toList());
  }
}
