package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.Npz;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AttendCommandTest {
  @TempDir Path folder;
  private Path inputs;
  private Path outputs;
  private final Map<String, NpyArray> arrays = new LinkedHashMap<>();

  @BeforeEach
  void arrays() {
    inputs = folder.resolve("x.npz");
    outputs = folder.resolve("y.npz");
    arrays.put("q", normal(1, 2, 7, 3, 4));
    arrays.put("k", normal(2, 2, 7, 3, 4));
    arrays.put("v", normal(3, 2, 7, 3, 5));
    arrays.put("g", normal(4, 2, 7, 3, 5));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "softmax",
        "hyperbolic",
        "trigonometric",
        "favor++",
        "expmod",
        "relu",
        "elu",
        "square",
        "exp",
        "identity",
        "gelu",
        "tanh",
        "sigmoid",
        "cos",
        "sin",
        "abs",
        "requ",
        "shifted-elu"
      })
  void everyKernelRunsForwardAndBackward(String kernel) {
    for (String convention :
        new String[] {"performer", "google-tf", "google-jax", "model-garden"}) {
      Npz.write(inputs, arrays);
      CommandLineRun.of(
              "attend",
              inputs,
              "--output",
              outputs,
              "--kernel",
              kernel,
              "--convention",
              convention,
              "--features",
              16)
          .done();
      Map<String, NpyArray> results = Npz.read(outputs);
      assertThat(results.get("out").shape()).containsExactly(2, 7, 3, 5);
      assertThat(results.get("dq").shape()).containsExactly(2, 7, 3, 4);
      assertThat(results).containsKeys("dk", "dv", "P");
      for (float x : results.get("out").floats()) {
        assertThat(x).as(kernel + " " + convention).isFinite();
      }
    }
  }

  @Test
  void exactAttentionIsTheSoftmaxFormula() {
    arrays.put("mask", NpyArray.of(new float[] {1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1}, 2, 7));
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs, "--exact", "--causal").done();
    float[] out = Npz.read(outputs).get("out").floats();
    float[] q = arrays.get("q").floats();
    float[] k = arrays.get("k").floats();
    float[] v = arrays.get("v").floats();
    float[] mask = arrays.get("mask").floats();
    for (int b = 0; b < 2; b++) {
      for (int h = 0; h < 3; h++) {
        for (int l = 0; l < 7; l++) {
          double[] sum = new double[5];
          double total = 0;
          for (int s = 0; s <= l; s++) {
            double dot = 0;
            for (int d = 0; d < 4; d++) {
              dot += q[((b * 7 + l) * 3 + h) * 4 + d] * k[((b * 7 + s) * 3 + h) * 4 + d];
            }
            double w = Math.exp(dot / 2) * mask[b * 7 + s];
            total += w;
            for (int d = 0; d < 5; d++) {
              sum[d] += w * v[((b * 7 + s) * 3 + h) * 5 + d];
            }
          }
          for (int d = 0; d < 5; d++) {
            assertThat((double) out[((b * 7 + l) * 3 + h) * 5 + d])
                .isCloseTo(sum[d] / total, within(1e-5));
          }
        }
      }
    }
  }

  @Test
  void aGivenProjectionGetsAGradient() {
    arrays.put("P", normal(5, 6, 4));
    Npz.write(inputs, arrays);
    CommandLineRun run =
        CommandLineRun.of(
                "attend", inputs, "--output", outputs, "--convention", "google-tf", "--json")
            .done();
    assertThat(Npz.read(outputs).get("dP").shape()).containsExactly(6, 4);
    assertThat(run.json().get("output").asText()).isEqualTo(outputs.toString());
  }

  @Test
  void theSameSeedDrawsTheSameProjection() {
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs, "--seed", 3).done();
    NpyArray first = Npz.read(outputs).get("P");
    CommandLineRun.of("attend", inputs, "--output", outputs, "--seed", 3).done();
    assertThat(Npz.read(outputs).get("P")).isEqualTo(first);
    CommandLineRun.of("attend", inputs, "--output", outputs, "--seed", 4).done();
    assertThat(Npz.read(outputs).get("P")).isNotEqualTo(first);
  }

  @Test
  void float64InputsAreComputedInFloat64() {
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs, "--causal").done();
    Map<String, NpyArray> narrow = Npz.read(outputs);
    arrays.put("k", NpyArray.of(arrays.get("k").doubles(), arrays.get("k").shape()));
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs, "--causal").done();
    Map<String, NpyArray> wide = Npz.read(outputs);
    for (String name : new String[] {"out", "dq", "dk", "dv"}) {
      assertThat(narrow.get(name).type()).isEqualTo(NpyType.FLOAT32);
      assertThat(wide.get(name).type()).isEqualTo(NpyType.FLOAT64);
      double[] a = narrow.get(name).doubles();
      double[] b = wide.get(name).doubles();
      boolean differs = false;
      for (int i = 0; i < a.length; i++) {
        assertThat(b[i]).isCloseTo(a[i], within(1e-4));
        differs |= a[i] != b[i]; // what float32 rounds
      }
      assertThat(differs).as(name).isTrue();
    }
  }

  @Test
  void jaxDrawsFromTheLegacyStreamAsEverywhere() {
    Npz.write(inputs, arrays);
    NpyArray own = drawn("--convention", "google-jax");
    assertThat(own).isEqualTo(drawn("--convention", "google-jax", "--threefry", "legacy"));
    assertThat(own)
        .isNotEqualTo(drawn("--convention", "google-jax", "--threefry", "partitionable"));
  }

  private NpyArray drawn(Object... options) {
    List<Object> all = new ArrayList<>(List.of("attend", inputs, "--output", outputs));
    all.addAll(List.of(options));
    CommandLineRun.of(all.toArray()).done();
    return Npz.read(outputs).get("P");
  }

  @Test
  void whatAConventionCannotDrawIsRefused() {
    Npz.write(inputs, arrays);
    CommandLineRun.of(
            "attend",
            inputs,
            "--output",
            outputs,
            "--convention",
            "google-tf",
            "--projection",
            "iid")
        .failed(2, "google-tf", "iid", "give P");
  }

  @Test
  void theNumericalStabilizerIsReached() {
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs, "--convention", "google-tf").done();
    NpyArray own = Npz.read(outputs).get("out");
    for (String stabilizer : new String[] {"1e-6", "0.5"}) {
      CommandLineRun.of(
              "attend",
              inputs,
              "--output",
              outputs,
              "--convention",
              "google-tf",
              "--numerical-stabilizer",
              stabilizer)
          .done();
      assertThat(Npz.read(outputs).get("out").equals(own)).isEqualTo(stabilizer.equals("1e-6"));
    }
  }

  @Test
  void crossAttentionTakesOtherKeyLengths() {
    arrays.put("k", normal(2, 2, 11, 3, 4));
    arrays.put("v", normal(3, 2, 11, 3, 5));
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs).done();
    assertThat(Npz.read(outputs).get("dk").shape()).containsExactly(2, 11, 3, 4);
  }

  @ParameterizedTest
  @CsvSource({
    "k, '2,7,3,6', any",
    "v, '2,8,3,5', '[2, 7, 3'",
    "g, '2,7,3,4', '[2, 7, 3, 5]'",
    "q, '2,7,12', '[B, L, H, D]'"
  })
  void wrongShapesNameTheArrayAndWhatWasExpected(String name, String shape, String expected) {
    long[] dims = Arrays.stream(shape.split(",")).mapToLong(Long::parseLong).toArray();
    arrays.put(name, normal(9, dims));
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs)
        .failed(1, "x.npz", "'" + name + "'", expected.equals("any") ? "expected" : expected);
    assertThat(outputs).doesNotExist();
  }

  @Test
  void wrongNamesAndTypes() {
    arrays.put("queries", arrays.remove("q"));
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs).failed(1, "unknown array 'queries'");
    arrays.remove("queries");
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs).failed(1, "no array 'q'");
    arrays.put("q", NpyArray.of(new int[2 * 7 * 3 * 4], 2, 7, 3, 4));
    Npz.write(inputs, arrays);
    CommandLineRun.of("attend", inputs, "--output", outputs).failed(1, "'q' is int32", "float32");
    CommandLineRun.of("attend", inputs, "--output", folder.resolve("no/such/y.npz")).failed(1);
    CommandLineRun.of("attend", inputs, "--output", outputs, "--kernel", "relv")
        .failed(2, "relv", "relu");
  }

  private static NpyArray normal(int seed, long... shape) {
    int n = (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    Random random = new Random(seed);
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return NpyArray.of(values, shape);
  }
}
