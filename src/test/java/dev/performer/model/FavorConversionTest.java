package dev.performer.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.Kernel;
import dev.performer.attention.projection.Projection.Lengths;
import dev.performer.cli.CommandLineRun;
import dev.performer.cli.Main;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.distill.TinyBert;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Performer.Inputs;
import dev.performer.nn.Dropout;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.Graph;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

class FavorConversionTest {
  private static final PerformerConfig CONFIG =
      TinyBert.config("masked-lm")
          .with(JsonNodeFactory.instance.objectNode().put("layers", 3), "test");
  private static final Map<String, NpyArray> WEIGHTS = TinyBert.weights(CONFIG, 5);

  private static FavorConversion conversion(int features, int exactHeads, Set<Integer> layers) {
    return new FavorConversion(
        FavorConfig.builder()
            .kernel(Kernel.of("hyperbolic"))
            .features(features)
            .lengths(Lengths.of("sqrt-d"))
            .seed(7L)
            .exactHeads(exactHeads)
            .build(),
        layers);
  }

  private static float[] logits(PerformerConfig config, Map<String, NpyArray> weights) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Ops tf = Ops.create(graph);
      Variables variables = new Variables(tf);
      Performer.shapes(config)
          .forEach((n, s) -> variables.declare(n, TFloat32.class, s, !n.endsWith("projection")));
      for (Variable v : variables.all()) {
        NpyArray w = weights.get(v.name());
        session
            .runner()
            .addTarget(
                Variables.assign(
                    tf, v, tf.reshape(tf.constant(w.floats()), tf.constant(v.shape()))))
            .run()
            .close();
      }
      int[][] tokens = {{1, 4, 6, 2, 8, 9, 3, 5}, {2, 2, 7, 1, 10, 11, 12, 3}};
      var out =
          Performer.over(config, variables::get)
              .apply(tf, Inputs.of(tf.constant(tokens)), Dropout.none());
      try (Result result = session.runner().fetch(out.logits()).run()) {
        return Tensors.floats(result.get(0));
      }
    }
  }

  private static double distance(float[] a, float[] b) {
    double error = 0;
    double scale = 0;
    for (int i = 0; i < a.length; i++) {
      error += (a[i] - b[i]) * (a[i] - b[i]);
      scale += b[i] * b[i];
    }
    return Math.sqrt(error / scale);
  }

  @Test
  void headsKeptExactComputeTheSame() {
    var all = conversion(8, 2, Set.of()).apply(CONFIG, WEIGHTS);
    assertThat(distance(logits(all.config(), all.weights()), logits(CONFIG, WEIGHTS)))
        .isLessThan(1e-5);
  }

  /** Only chi lengths are unbiased: with them the error goes to 0 as 1/√M. */
  @Test
  void moreFeaturesComeCloser() {
    float[] original = logits(CONFIG, WEIGHTS);
    double far = distance(unbiased(16), original);
    double near = distance(unbiased(16 * 256), original);
    assertThat(near).isLessThan(0.1).isLessThan(far / 4);
  }

  private static float[] unbiased(int features) {
    var conversion =
        new FavorConversion(
            FavorConfig.builder()
                .kernel(Kernel.of("hyperbolic"))
                .features(features)
                .lengths(Lengths.of("chi"))
                .seed(7L)
                .exactHeads(0)
                .build(),
            Set.of());
    var converted = conversion.apply(CONFIG, WEIGHTS);
    return logits(converted.config(), converted.weights());
  }

  @Test
  void onlyChosenLayersChange() {
    var converted = conversion(8, 0, Set.of(0, 2)).apply(CONFIG, WEIGHTS);
    assertThat(converted.config().attentionOf(1)).isEqualTo(CONFIG.attentionOf(1));
    assertThat(converted.weights()).containsAllEntriesOf(WEIGHTS);
    assertThat(converted.weights().keySet())
        .contains("layer_0/attention/projection", "layer_2/attention/projection")
        .doesNotContain("layer_1/attention/projection");
    assertThat(converted.weights().get("layer_0/attention/projection").floats())
        .isNotEqualTo(converted.weights().get("layer_2/attention/projection").floats());
  }

  @Test
  void refusesWhatIsNotThereOrNotExact() {
    assertThatThrownBy(() -> conversion(8, 0, Set.of(3)).apply(CONFIG, WEIGHTS))
        .isInstanceOf(PerformerException.class)
        .hasMessage("there is no layer 3; the model has layers 0 to 2");
    var once = conversion(8, 0, Set.of()).apply(CONFIG, WEIGHTS);
    assertThatThrownBy(() -> conversion(8, 0, Set.of(1)).apply(once.config(), once.weights()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("layer 1 does not attend exactly");
    assertThatThrownBy(() -> conversion(8, 0, Set.of()).apply(once.config(), once.weights()))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("nothing to convert");
  }

  @Test
  void commandWritesModelThatLoads(@TempDir Path folder) {
    Path from = folder.resolve("exact");
    Path to = folder.resolve("favor");
    PerformerModels.write(CONFIG, WEIGHTS, ModelCard.of(null, null, null, null), from, false);
    String[] command = {
      "convert",
      from.toString(),
      "--attention",
      "favor",
      "--features",
      "16",
      "--layers",
      "0-1",
      "--seed",
      "9",
      "--output",
      to.toString()
    };
    assertThat(Main.execute(command)).isZero();
    var saved = PerformerModels.load(to);
    var expected =
        new FavorConversion(
                FavorConfig.builder()
                    .kernel(Kernel.of("hyperbolic"))
                    .features(16)
                    .lengths(Lengths.of("sqrt-d"))
                    .seed(9L)
                    .exactHeads(0)
                    .build(),
                Set.of(0, 1))
            .apply(CONFIG, WEIGHTS);
    assertThat(saved.config()).isEqualTo(expected.config());
    assertThat(logits(saved.config(), saved.weights()))
        .isEqualTo(logits(expected.config(), expected.weights()));
    assertThat(saved.card().provenance().assumptions())
        .anyMatch(n -> n.contains("layers [0, 1]") && n.contains("seed 9"));
    command[command.length - 1] = folder.resolve("twice").toString();
    command[1] = to.toString();
    assertThat(Main.execute(command)).isEqualTo(1);
    assertThat(folder.resolve("twice")).doesNotExist();
  }

  @Test
  void theCommandCalibrates(@TempDir Path folder) {
    Path from = TinyBert.write(CONFIG, WEIGHTS, folder.resolve("exact"));
    int[] tokens = new Random(1).ints(20 * 12, 1, 12).toArray();
    Path data = folder.resolve("data.npz");
    Npz.write(data, Map.of("tokens", NpyArray.of(tokens, 20, 12)));
    Path to = folder.resolve("favor");
    Path report = folder.resolve("report.md");
    List<String> command =
        List.of(
            "convert",
            from + "",
            "--attention",
            "favor",
            "--calibrate",
            data + "",
            "--features",
            "16",
            "--layers",
            "1-2",
            "--report",
            report + "",
            "--output",
            to + "");
    assertThat(Main.execute(command.toArray(String[]::new))).isZero();
    var saved = PerformerModels.load(to);
    assertThat(saved.config().attentionOf(0)).isEqualTo(CONFIG.attentionOf(0));
    assertThat(saved.config().attentionOf(1).kernel()).isEqualTo(Kernel.CALIBRATED);
    assertThat(saved.weights()).containsKey("layer_1/attention/calibration/query_centre");
    assertThat(saved.card().provenance().assumptions())
        .anyMatch(n -> n.contains("calibrated on 240 tokens"));
    assertThat(report).content().hasLineCount(2 + 2 * CONFIG.heads());
    float[] exact = logits(CONFIG, WEIGHTS);
    double own = distance(logits(saved.config(), saved.weights()), exact);
    var plain =
        new FavorConversion(FavorConversion.defaults().features(16).build(), Set.of(1, 2))
            .apply(CONFIG, WEIGHTS);
    assertThat(own).isLessThan(distance(logits(plain.config(), plain.weights()), exact));
    var few = new ArrayList<>(command);
    few.set(few.size() - 1, folder.resolve("few") + "");
    NpyArray some = NpyArray.of(new int[] {1, 2, 3}, 1, 3);
    NpyArray wild = NpyArray.of(new float[] {1, Float.NaN, 3}, 1, 3);
    NpyArray nothing = NpyArray.of(new int[3], 1, 3);
    var bad =
        List.of(
            Map.of("tokens", some),
            Map.of("tokens", wild),
            Map.of("tokens", some, "mask", wild),
            Map.of("tokens", some, "mask", nothing));
    for (var arrays : bad) {
      Npz.write(data, arrays);
      CommandLineRun.of(few.toArray()).failed(1, "data.npz");
      assertThat(folder.resolve("few")).doesNotExist();
    }
  }
}
