package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.attention.projection.Threefry;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What Google's sampler drew from its checkpoint, token by token. */
class ProteinLmSamplingTest {
  private static final Set<Integer> FORBIDDEN = Set.of(25, 27, 28);
  @TempDir static Path folder;
  private static Path model;
  private static Map<String, NpyArray> golden;

  @BeforeAll
  static void load() {
    model = GenerationSessionTest.imported(folder, "lm_exact");
    golden =
        Npz.read(Path.of("src/test/resources/reference/jax/protein_lm/lm_exact/sample_golden.npz"));
  }

  private static ProteinLmSampling sampling(
      double temperature, int topK, double penalty, int window, boolean normalize, int seed) {
    return new ProteinLmSampling(
        temperature, topK, penalty, window, normalize, Threefry.Stream.LEGACY, seed);
  }

  /** Prompts start with the begin token, which our model puts there itself. */
  private static List<int[]> prompts(String name) {
    NpyArray array = golden.get(name);
    int length = (int) array.shape()[1];
    int[] all = array.ints();
    return IntStream.range(0, (int) array.shape()[0])
        .mapToObj(r -> Arrays.copyOfRange(all, r * length + 1, (r + 1) * length))
        .toList();
  }

  @ParameterizedTest
  @CsvSource({
    "0, 1, 0, 1, 4, false",
    "1, 0.5, 0, 1, 4, false",
    "2, 1, 3, 1, 4, false",
    "3, 1, 0, 1.5, 3, false",
    "4, 0.0001, 0, 1.2, 4, true"
  })
  void tokensAreGoogles(
      int number, double temperature, int topK, double penalty, int window, boolean normalize) {
    List<int[]> prompts = prompts("prompt_" + number);
    NpyArray expected = golden.get("sample_" + number);
    int length = (int) expected.shape()[1];
    int[] all = expected.ints();
    try (GenerationSession session = GenerationSession.open(model)) {
      var found =
          session.generate(
              prompts,
              DecodingOptions.of(
                      length - prompts.get(0).length,
                      sampling(temperature, topK, penalty, window, normalize, 40 + number))
                  .withEnd(26)
                  .withForbidden(FORBIDDEN));
      for (int r = 0; r < prompts.size(); r++) {
        List<Integer> row =
            Arrays.stream(all, r * length + prompts.get(r).length, (r + 1) * length)
                .boxed()
                .toList();
        assertThat(found.get(r).tokens()).as("row " + r).isEqualTo(row);
        assertThat(found.get(r).ended()).isFalse();
      }
    }
  }

  @Test
  void otherSeedsAreOtherSamples() {
    try (GenerationSession session = GenerationSession.open(model)) {
      var one =
          session.generate(
              prompts("prompt_0"),
              DecodingOptions.of(64, sampling(1, 0, 1, 4, false, 1)).withForbidden(FORBIDDEN));
      assertThat(one.get(0).tokens())
          .isNotEqualTo(Arrays.stream(golden.get("sample_0").ints(), 0, 64).boxed().toList());
    }
  }

  @Test
  void refusals() {
    assertThatThrownBy(() -> sampling(1, 0, 1, 4, false, 1).begin(8, 8))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("one batch");
    assertThatThrownBy(() -> sampling(0, 0, 1, 4, false, 1))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("temperature");
    assertThatThrownBy(() -> sampling(1e-60, 0, 1, 4, false, 1))
        .isInstanceOf(PerformerException.class); // 0 in float32
  }
}
