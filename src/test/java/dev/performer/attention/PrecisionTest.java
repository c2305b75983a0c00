package dev.performer.attention;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.types.TFloat32;

/** What float32 loses of the softmax estimate, against the same estimator in float64 logarithms. */
class PrecisionTest {
  private static final int L = 256;
  private static final int D = 64;

  /** Amplitude 4 is beyond what Google's key maximum survives: 0.33 at amplitude 1, NaN there. */
  @ParameterizedTest
  @CsvSource({
    "SOFTMAX,1,true,2e-6",
    "SOFTMAX,4,true,4e-6",
    "SOFTMAX,1,false,2e-6",
    "SOFTMAX,4,false,4e-6",
    "HYPERBOLIC,1,true,2e-6",
    "HYPERBOLIC,4,true,4e-6"
  })
  void centredFeaturesKeepFloat32(
      Kernel kernel, double amplitude, boolean causal, double tolerance) {
    double error = relativeError(FavorConfig.of(kernel).withCausal(causal), L, D, amplitude);
    assertThat(error).isLessThan(tolerance);
  }

  /** The norms of keys grow with D: at amplitude 4 and D = 256 they are 64. */
  @ParameterizedTest
  @CsvSource({
    "SOFTMAX,128,1,true,4e-6",
    "SOFTMAX,128,2,true,8e-6",
    "SOFTMAX,128,4,true,2e-5",
    "SOFTMAX,256,1,true,4e-6",
    "SOFTMAX,256,2,true,8e-6",
    "SOFTMAX,256,2,false,8e-6",
    "HYPERBOLIC,128,2,true,8e-6",
    "HYPERBOLIC,256,1,true,4e-6"
  })
  void wideHeadsKeepFloat32(
      Kernel kernel, int headSize, double amplitude, boolean causal, double tolerance) {
    FavorConfig config = FavorConfig.of(kernel).withCausal(causal);
    assertThat(relativeError(config, 96, headSize, amplitude)).isLessThan(tolerance);
  }

  @Test
  void theOfficialEpsilonDoesNot() {
    FavorConfig google =
        FavorConfig.of(Kernel.SOFTMAX).withConvention(Convention.GOOGLE_TF).withCausal(true);
    assertThat(relativeError(google, L, D, 1)).isGreaterThan(0.1);
  }

  /** Root of the mean squared error over the mean square. */
  private static double relativeError(FavorConfig config, int l, int d, double amplitude) {
    Map<String, NpyArray> arrays =
        new LinkedHashMap<>(Inputs.random(1, 1, 1, l, l, d, d, amplitude));
    arrays.put("P", Inputs.projection(config, d, 1));
    double[][] p = Inputs.matrix(arrays.get("P"));
    if (config.kernel() == Kernel.HYPERBOLIC) {
      double[][] both = new double[2 * p.length][];
      for (int r = 0; r < p.length; r++) {
        both[r] = p[r];
        both[p.length + r] = Arrays.stream(p[r]).map(x -> -x).toArray();
      }
      p = both;
    }
    double[] expected =
        Inputs.flatten(
            NaiveAttention.positive(
                Inputs.head(arrays.get("q"), 0, 0),
                Inputs.head(arrays.get("k"), 0, 0),
                Inputs.head(arrays.get("v"), 0, 0),
                p,
                config.causal(),
                null));
    try (var run = Inputs.run(TFloat32.class, null, config, arrays)) {
      double[] out = run.value(arrays);
      double error = 0;
      double total = 0;
      for (int i = 0; i < out.length; i++) {
        error += (out[i] - expected[i]) * (out[i] - expected[i]);
        total += expected[i] * expected[i];
      }
      return Math.sqrt(error / total);
    }
  }
}
