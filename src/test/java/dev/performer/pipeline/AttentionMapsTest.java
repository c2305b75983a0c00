package dev.performer.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.IdTokenizer;
import dev.performer.data.NpyArray;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variables;
import dev.performer.model.Json;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Dropout;
import dev.performer.pipeline.AttentionMap.Source;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.study.ModelAttention;
import dev.performer.study.ModelAttention.Wanted;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.ToDoubleBiFunction;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** Maps of models against the formulas of attention, computed number by number. */
class AttentionMapsTest {
  private static final String SMALL =
      "vocabularySize: 29, hiddenSize: 8, heads: 2, layers: 2, mlpSize: 12, maxLength: 400";

  @TempDir Path folder;

  /** A model with weights so large that attention is no mean. */
  private static PerformerModels.Saved random(String keys) {
    PerformerConfig config = Json.config("{%s, %s}".formatted(SMALL, keys));
    Map<String, NpyArray> weights;
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.build(tf, variables, config, 3);
      variables.initialize(session);
      weights = PerformerModels.values(session, variables.all());
    }
    weights.replaceAll(
        (name, value) ->
            name.endsWith("query/kernel") || name.endsWith("token") ? times(value, 3) : value);
    return new PerformerModels.Saved(config, weights, null);
  }

  private Path written(String keys) {
    PerformerModels.Saved model = random(keys);
    Path target = folder.resolve("model");
    PerformerModels.write(model.config(), model.weights(), null, target, false);
    return target;
  }

  private static NpyArray times(NpyArray array, float factor) {
    float[] values = array.floats();
    for (int i = 0; i < values.length; i++) {
      values[i] *= factor;
    }
    return NpyArray.of(values, array.shape());
  }

  private static AttentionMaps maps(Path model, AttentionMaps.Options options) {
    var ids = ModelOptions.DEFAULT.withTokenizer(new IdTokenizer(0));
    return AttentionMaps.load(Model.open(model, ids), options, true);
  }

  /** Of a model that is in memory, all rows. */
  private static AttentionMap map(PerformerModels.Saved model, int[] ids, int pad) {
    int front = model.config().classToken() ? 1 : 0;
    int[] kept = IntStream.range(0, front + ids.length).toArray();
    try (var attention = new ModelAttention(model, front + ids.length, 5)) {
      var heads = attention.of(ids, ids.length, pad, new Wanted(5, Set.of(0, 1), kept));
      int[] positions = new int[kept.length];
      System.arraycopy(ids, 0, positions, front, ids.length);
      var tokens = Collections.nCopies(kept.length, "token");
      return new AttentionMap("x", positions, tokens, kept.length, 5, kept, heads);
    }
  }

  private static int[] ids(int length, long seed) {
    return new Random(seed).ints(length, 1, 20).toArray();
  }

  /** Queries and keys of every layer, {@code [H, L, D]}, as the whole model computes them. */
  private static List<List<float[]>> projected(PerformerModels.Saved model, int[] ids) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.shapes(model.config())
          .forEach((name, shape) -> variables.declare(name, TFloat32.class, shape, false));
      PerformerModels.assign(tf, session, variables.all(), model.weights());
      var tokens = tf.reshape(tf.constant(ids), tf.array(1, ids.length));
      var out =
          Performer.over(model.config(), variables::get)
              .apply(tf, Performer.Inputs.of(tokens), Dropout.none());
      List<List<float[]>> all = new ArrayList<>();
      for (var layer : out.layers()) {
        try (var result = session.runner().fetch(layer.queries()).fetch(layer.keys()).run()) {
          all.add(List.of(Tensors.floats(result.get(0)), Tensors.floats(result.get(1))));
        }
      }
      return all;
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "causal-lm;{exact: true, causal: true};exact",
        "masked-lm;{exact: true};exact",
        "causal-lm;{kernel: relu, features: 0, causal: true};relu",
        "masked-lm;{kernel: relu, features: 0};relu",
        "causal-lm;{kernel: softmax, features: 6, causal: true};softmax",
        "masked-lm;{kernel: softmax, features: 6};softmax"
      })
  void rowsAreTheFormula(String task, String attention, String kernel) {
    boolean causal = task.equals("causal-lm");
    PerformerModels.Saved model = random("task: %s, attention: %s".formatted(task, attention));
    int length = 300; // more than one block of queries
    int[] ids = ids(length, 5);
    AttentionMap map = map(model, ids, -1);
    List<List<float[]>> projected = projected(model, ids);
    int d = 4;
    for (int layer = 0; layer < 2; layer++) {
      NpyArray drawn = model.weights().get("layer_" + layer + "/attention/projection");
      double[] p = drawn == null ? null : drawn.doubles();
      ToDoubleBiFunction<float[], float[]> similarity = (q, k) -> similarity(kernel, p, q, k);
      for (int head = 0; head < 2; head++) {
        for (int i : new int[] {0, 1, 17, 255, 256, 299}) {
          float[] q = vector(projected.get(layer).get(0), head, length, i, d);
          double[] expected = new double[length];
          for (int j = 0; j < (causal ? i + 1 : length); j++) {
            expected[j] =
                similarity.applyAsDouble(
                    q, vector(projected.get(layer).get(1), head, length, j, d));
          }
          double sum = Arrays.stream(expected).sum();
          float[] row = map.row(layer, head, i);
          var errors = IntStream.range(0, length).mapToDouble(j -> row[j] - expected[j] / sum);
          assertThat(errors.map(Math::abs).max().orElseThrow()).isLessThan(1e-5);
          double total = IntStream.range(0, length).mapToDouble(j -> row[j]).sum();
          assertThat(total).isCloseTo(1, within(1e-5));
          List<Source> sources = map.sources(layer, head, i);
          assertThat(sources).hasSize(causal ? Math.min(5, i + 1) : 5);
          for (int s = 0; s < sources.size(); s++) {
            Source source = sources.get(s);
            assertThat(source.weight()).isEqualTo(row[source.position()]);
            float above = s == 0 ? Float.MAX_VALUE : sources.get(s - 1).weight();
            assertThat(source.weight()).isLessThanOrEqualTo(above);
          }
        }
        var found = map.heads().get(layer).get(head);
        assertThat(found.total()).isLessThan(1e-5);
        if (kernel.equals("exact")) {
          assertThat(found.distance()).isZero();
          assertThat(found.common()).isEqualTo(1);
        } else {
          assertThat(found.distance()).isBetween(0.01, 1.0);
          assertThat(found.cosine()).isBetween(0.0, 0.9999);
        }
      }
    }
  }

  private static float[] vector(float[] all, int head, int length, int position, int d) {
    int from = (head * length + position) * d;
    return Arrays.copyOfRange(all, from, from + d);
  }

  private static double similarity(String kernel, double[] p, float[] q, float[] k) {
    int d = q.length;
    double sum = 0;
    if (kernel.equals("exact")) {
      for (int c = 0; c < d; c++) {
        sum += q[c] * k[c] / Math.sqrt(d);
      }
      return Math.exp(sum);
    } else if (kernel.equals("relu")) {
      for (int c = 0; c < d; c++) {
        sum += (Math.max(0, q[c]) + 1e-3) * (Math.max(0, k[c]) + 1e-3);
      }
      return sum;
    }
    double scale = Math.pow(d, -0.25);
    for (int m = 0; m < p.length / d; m++) {
      double exponent = 0;
      for (int c = 0; c < d; c++) {
        exponent += p[m * d + c] * scale * (q[c] + k[c]) - scale * scale * k[c] * k[c] / 2;
      }
      sum += Math.exp(exponent);
    }
    return sum;
  }

  @Tag("slow")
  @ParameterizedTest
  @ValueSource(
      strings = {
        "task: classification, classes: 2, classToken: true, padId: 0",
        "task: masked-lm, padId: 0, attention: {kernel: relu, exactHeads: 1}",
        "task: masked-lm, padId: 0, attention: {exact: true}",
        "task: causal-lm, padId: 0, shiftBos: 25, positions: learned, attention: {kernel: relu, causal: true}",
        "task: masked-lm, padId: 0, attention: {linformer: {rank: 3}}",
        "task: sequence-to-sequence, padId: 0, decoderLayers: 1, shiftBos: 25"
      })
  void paddingIsNoKeyAndChangesNothing(String keys) {
    PerformerModels.Saved model = random(keys);
    int[] ids = ids(9, 2);
    AttentionMap alone = map(model, ids, 0);
    AttentionMap beside = map(model, Arrays.copyOf(ids, 12), 0);
    for (int layer = 0; layer < 2; layer++) {
      for (int head = 0; head < 2; head++) {
        float[] row = alone.row(layer, head, 3);
        float[] other = beside.row(layer, head, 3);
        assertThat(Arrays.copyOf(other, row.length)).containsExactly(row, within(1e-6f));
        for (int j = row.length; j < other.length; j++) {
          assertThat(other[j]).isZero();
        }
        assertThat(beside.sources(layer, head, 3))
            .allMatch(source -> source.position() < row.length);
      }
    }
  }

  @Test
  void chosenRowsAreThoseOfTheWholeMap() {
    Path path = written("task: causal-lm, shiftBos: 25, attention: {kernel: relu, causal: true}");
    int[] ids = ids(30, 1);
    AttentionMap whole;
    try (AttentionMaps maps = maps(path, AttentionMaps.Options.DEFAULT)) {
      whole = maps.of("x", ids);
    }
    assertThat(whole.ids()).startsWith(25, ids[0], ids[1]).hasSize(30);
    var options = new AttentionMaps.Options(3, Set.of(1), List.of(-1, 4, 29), null);
    try (AttentionMaps maps = maps(path, options)) {
      AttentionMap some = maps.of("x", ids);
      assertThat(some.kept()).containsExactly(4, 29);
      assertThat(some.heads()).containsOnlyKeys(1);
      assertThat(some.row(1, 0, 29)).isEqualTo(whole.row(1, 0, 29));
      assertThat(some.sources(1, 1, 29)).isEqualTo(whole.sources(1, 1, 29).subList(0, 3));
      assertThatThrownBy(() -> some.row(1, 0, 5)).hasMessageContaining("position 5 was not kept");
      assertThatThrownBy(() -> maps.of("y", ids(8, 1)))
          .isInstanceOf(PerformerException.class)
          .hasMessage("there is no position 29 in a sequence of 8");
      assertThatThrownBy(() -> maps.of("z", new int[] {1, 40}))
          .hasMessage("sequence z has the token id 40; the model knows 0 to 28");
    }
    var report = new AttentionReport(Json.config("{%s}".formatted(SMALL)), List.of(whole));
    var arrays = report.arrays();
    assertThat(arrays.get("attention").shape()).containsExactly(1, 2, 2, 30, 30);
    float[] all = arrays.get("attention").floats();
    float[] last = Arrays.copyOfRange(all, all.length - 30, all.length);
    assertThat(last).isEqualTo(whole.row(1, 1, 29));
    assertThat(arrays.get("sources").shape()).containsExactly(1, 2, 2, 30, 5);
    int[] first = Arrays.copyOf(arrays.get("sources").ints(), 5);
    assertThat(first).containsExactly(0, -1, -1, -1, -1);
  }

  @Test
  void aPictureShowsEveryHead() throws IOException {
    Path path = written("task: classification, classes: 2, classToken: true, maxLength: 600");
    var options = new AttentionMaps.Options(5, Set.of(), List.of(0, 3), 600);
    try (AttentionMaps maps = maps(path, options)) {
      AttentionMap map = maps.of("x", ids(20, 1));
      assertThat(map.tokens().get(0)).isEqualTo("<class>");
      var image = ImageIO.read(new ByteArrayInputStream(map.png()));
      assertThat(image.getWidth()).isGreaterThan(2 * 240);
      assertThat(image.getHeight()).isGreaterThan(2 * 24);
      AttentionMap longer = maps.of("y", ids(600, 1));
      assertThatThrownBy(longer::png).hasMessageContaining("601 positions is too long");
    }
    var other = new AttentionMaps.Options(5, Set.of(7), null, null);
    assertThatThrownBy(() -> maps(path, other))
        .isInstanceOf(PerformerException.class)
        .hasMessage(path + ": has no layer 7; its layers are 0 to 1");
  }
}
