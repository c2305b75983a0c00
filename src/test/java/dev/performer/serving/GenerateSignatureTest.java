package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.NpyArray;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** One call of the signature generate gives what a session gives. */
class GenerateSignatureTest {
  /** Of Google's protein vocabulary: begin, padding, mask; its end token is 26. */
  private static final Set<Integer> FORBIDDEN = Set.of(25, 27, 28);

  private static final int END = 26;

  @TempDir static Path folder;
  private static SavedModelPredictor predictor;

  @BeforeAll
  static void load() {
    predictor = SavedModelPredictor.load(GenerationSessionTest.imported(folder, "lm_relu"));
  }

  @AfterAll
  static void close() {
    predictor.close();
  }

  /** Options, each for all rows or one each. */
  private record Options(int[] most, float[] temperature, int[] topK, float[] topP, long[] seed) {
    private static Options of(int most, Sampling s) {
      return new Options(
          new int[] {most},
          new float[] {s.greedy() ? 0 : (float) s.temperature()},
          new int[] {s.topK()},
          new float[] {(float) s.topP()},
          new long[] {s.seed()});
    }

    private Options withSeeds(long... seeds) {
      return new Options(most, temperature, topK, topP, seeds);
    }

    private Options withMost(int... counts) {
      return new Options(counts, temperature, topK, topP, seed);
    }
  }

  private record Generated(int[][] tokens, float[][] logProbabilities, int[] lengths) {
    private List<Integer> text(int row) {
      return Arrays.stream(tokens[row]).limit(lengths[row]).boxed().toList();
    }
  }

  private static Generated generate(
      SavedModelPredictor predictor, List<int[]> prompts, Options options) {
    int longest = Math.max(1, prompts.stream().mapToInt(p -> p.length).max().orElseThrow());
    int[] tokens = new int[prompts.size() * longest];
    int[] lengths = new int[prompts.size()];
    for (int r = 0; r < lengths.length; r++) {
      lengths[r] = prompts.get(r).length;
      System.arraycopy(prompts.get(r), 0, tokens, r * longest, lengths[r]);
    }
    Map<String, NpyArray> inputs = new LinkedHashMap<>();
    inputs.put("tokens", NpyArray.of(tokens, lengths.length, longest));
    inputs.put("lengths", NpyArray.of(lengths, lengths.length));
    inputs.put("max_new_tokens", NpyArray.of(options.most, shape(options.most.length)));
    inputs.put("temperature", NpyArray.of(options.temperature, shape(options.temperature.length)));
    inputs.put("top_k", NpyArray.of(options.topK, shape(options.topK.length)));
    inputs.put("top_p", NpyArray.of(options.topP, shape(options.topP.length)));
    inputs.put("seed", NpyArray.of(options.seed, shape(options.seed.length)));
    var outputs = predictor.predict(PerformerSignatures.GENERATE, inputs);
    int width = (int) outputs.get("tokens").shape()[1];
    int[] all = outputs.get("tokens").ints();
    float[] logs = outputs.get("log_probabilities").floats();
    int[][] rows = new int[lengths.length][];
    float[][] rowLogs = new float[lengths.length][];
    for (int r = 0; r < lengths.length; r++) {
      rows[r] = Arrays.copyOfRange(all, r * width, (r + 1) * width);
      rowLogs[r] = Arrays.copyOfRange(logs, r * width, (r + 1) * width);
    }
    return new Generated(rows, rowLogs, outputs.get("lengths").ints());
  }

  private static long[] shape(int count) {
    return count == 1 ? new long[0] : new long[] {count};
  }

  @Test
  void equalsASession() {
    List<int[]> prompts =
        List.of(new int[] {10, 0, 5}, new int[] {}, new int[] {3, 3, 7, 12, 19, 1, 2});
    try (GenerationSession session = GenerationSession.of(predictor)) {
      for (Sampling sampling :
          List.of(
              Sampling.mostLikely(),
              Sampling.DEFAULT.withSeed(5),
              Sampling.DEFAULT.withTemperature(4).withSeed(-1),
              new Sampling(false, 1.5, 12, 0.75, 1, 0, Long.MIN_VALUE + 3))) {
        var decoding = DecodingOptions.of(40, sampling).withForbidden(FORBIDDEN).withEnd(END);
        var expected = session.generate(prompts, decoding);
        var generated = generate(predictor, prompts, Options.of(40, sampling));
        for (int r = 0; r < prompts.size(); r++) {
          requireEqual(generated, r, expected.get(r));
        }
      }
    }
  }

  private static void requireEqual(
      Generated generated, int row, GenerationSession.Continuation expected) {
    assertThat(generated.text(row)).isEqualTo(expected.tokens());
    int length = expected.tokens().size();
    for (int i = 0; i < generated.tokens[row].length; i++) {
      float log = generated.logProbabilities[row][i];
      if (i < length) {
        assertThat((double) log).isCloseTo(expected.logProbabilities().get(i), within(1e-4));
      } else {
        boolean isEnd = i == length && expected.ended();
        assertThat(generated.tokens[row][i]).isEqualTo(isEnd ? END : 27);
        assertThat(log < 0).isEqualTo(isEnd);
      }
    }
  }

  @Test
  void rowsAreIndependent() {
    List<int[]> prompts = List.of(new int[] {1, 2}, new int[] {5, 6, 7, 8}, new int[] {});
    Sampling hot = Sampling.DEFAULT.withTemperature(1.5);
    var together = generate(predictor, prompts, Options.of(30, hot).withSeeds(7, 8, 9));
    for (int r = 0; r < 3; r++) {
      var alone =
          generate(predictor, prompts.subList(r, r + 1), Options.of(30, hot).withSeeds(7 + r));
      assertThat(alone.text(0)).isEqualTo(together.text(r));
    }
    // One seed for all makes rows that differ, by their number.
    var same = List.of(prompts.get(0), prompts.get(0));
    var one = generate(predictor, same, Options.of(30, hot).withSeeds(7));
    assertThat(one.text(0)).isEqualTo(together.text(0)).isNotEqualTo(one.text(1));
    var each =
        new Options(
            new int[] {3, 0, 100}, new float[] {0, 1, 0}, new int[1], new float[] {1}, new long[1]);
    var mixed = generate(predictor, prompts, each);
    // 64 positions, of which the begin token takes one; the last token needs none
    assertThat(mixed.lengths).containsExactly(3, 0, 64);
    assertThat(mixed.tokens[0]).hasSize(100);
    assertThat(generate(predictor, prompts, each.withMost(0)).tokens[2]).isEmpty();
    assertThat(generate(predictor, prompts, each.withMost(-5)).lengths).containsExactly(0, 0, 0);
    var room = generate(predictor, List.of(new int[63]), Options.of(9, hot));
    assertThat(room.lengths).containsExactly(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "positions: rotary, shiftBos: 25, attention: {kernel: softmax, features: 20, causal: true, exactHeads: 1}}",
        "positions: sinusoidal, attention: {exact: true}}"
      })
  void cachesGrowInTheLoop(String rest) {
    Path model =
        CausalModels.write(
            folder.resolve("model" + rest.length()),
            "{preset: performer, task: causal-lm, vocabularySize: 29, hiddenSize: 16, heads: 2,"
                + " layers: 2, mlpSize: 16, maxLength: 12, "
                + rest);
    List<int[]> prompts = List.of(new int[] {3}, new int[] {5, 6, 7, 8});
    Sampling sampling = Sampling.DEFAULT.withSeed(11);
    try (GenerationSession session = GenerationSession.open(model);
        SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      var never = Set.of(PerformerModels.requireConfig(model).padId());
      var decoding = new DecodingOptions(70, sampling, OptionalInt.empty(), never, 0);
      var expected = session.generate(prompts, decoding);
      var generated = generate(predictor, prompts, Options.of(70, sampling));
      for (int r = 0; r < 2; r++) {
        requireEqual(generated, r, expected.get(r));
      }
    }
  }

  /** Pearson's statistic of one token of 4,000 rows. */
  @Test
  void tokensComeAsOftenAsTheModelHasThem() {
    int rows = 4000;
    var prompts = new ArrayList<>(Collections.nCopies(rows, new int[] {10, 3}));
    var generated = generate(predictor, prompts, Options.of(1, Sampling.DEFAULT.withSeed(2)));
    int[] counts = new int[29];
    double[] probabilities = new double[29];
    for (int r = 0; r < rows; r++) {
      int token = generated.tokens[r][0];
      counts[token]++;
      probabilities[token] = Math.exp(generated.logProbabilities[r][0]);
    }
    double all = Arrays.stream(probabilities).sum();
    double statistic = 0;
    for (int i = 0; i < 29; i++) {
      double expected = rows * probabilities[i] / all;
      statistic += expected < 1 ? 0 : Math.pow(counts[i] - expected, 2) / expected;
    }
    assertThat(all).isBetween(0.95, 1.0001);
    assertThat(statistic).isLessThan(60); // 1e-4 for 26 degrees of freedom
  }
}
