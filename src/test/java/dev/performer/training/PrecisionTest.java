package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.PerformerException;
import dev.performer.data.NpyType;
import dev.performer.graph.Tensors;
import dev.performer.nn.Dense.Precision;
import dev.performer.pipeline.TrainJob;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.TinyRecipe;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.optim.OptimizerOps;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory.ResumePolicy;
import dev.performer.training.run.TrainingResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.SavedModel;

/** Training with dense layers in bfloat16, against float32. */
class PrecisionTest {
  @TempDir Path temporary;

  private static Trainable build(Graph graph, Recipe recipe) {
    LoopOptions loop = LoopOptions.builder().precision(recipe.training().precision()).build();
    return PerformerTraining.build(graph, recipe.model(), loop, Map.of());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "model.attention={kernel: relu}",
        "model.attention={kernel: hyperbolic, features: 16}",
        "model.attention={exact: true}"
      })
  void gradientsAreNearlyThoseOfFloat32(String attention) {
    List<float[]> single = gradients(attention, "float32");
    List<float[]> rounded = gradients(attention, "bfloat16");
    assertThat(rounded).hasSameSizeAs(single);
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < single.size(); i++) {
      for (int j = 0; j < single.get(i).length; j++) {
        difference += Math.pow(rounded.get(i)[j] - single.get(i)[j], 2);
        norm += Math.pow(single.get(i)[j], 2);
      }
    }
    // That something was rounded is what the lower bound shows.
    assertThat(Math.sqrt(difference / norm)).isBetween(1e-4, 2e-2);
  }

  private List<float[]> gradients(String attention, String precision) {
    Recipe recipe =
        TinyRecipe.in(temporary, attention, "model.layers=2", "training.precision=" + precision);
    try (Graph graph = new Graph();
        Session session = new Session(graph, false);
        BatchSource source =
            TokenBatchSource.training(
                recipe.data().batches(recipe.batchSize(), 1).train(), recipe.objective(), 1)) {
      Trainable model = build(graph, recipe);
      OptimizerOps optimizer = TrainerStep.optimizer(model, recipe.training());
      model.initializer().accept(session);
      List<float[]> values = new ArrayList<>();
      try (Feed feed = model.feed().apply(source.next())) {
        Session.Runner runner = session.runner();
        feed.into(runner);
        optimizer.gradients().values().forEach(runner::fetch);
        try (Result result = runner.run()) {
          for (int i = 0; i < optimizer.gradients().values().size(); i++) {
            values.add(Tensors.floats(result.get(i)));
          }
        }
      }
      return values;
    }
  }

  @Test
  void onlyProductsAndCastsAreInBfloat16() {
    Recipe recipe = TinyRecipe.in(temporary, "training.precision=bfloat16");
    try (Graph graph = new Graph()) {
      Trainable model = build(graph, recipe);
      TrainerStep.optimizer(model, recipe.training());
      TreeSet<String> types = new TreeSet<>();
      int products = 0;
      for (Iterator<GraphOperation> all = graph.operations(); all.hasNext(); ) {
        GraphOperation operation = all.next();
        for (int i = 0; i < operation.numOutputs(); i++) {
          if (operation.output(i).dataType() == DataType.DT_BFLOAT16) {
            types.add(operation.type());
            products += operation.type().equals("MatMul") ? 1 : 0;
          }
        }
      }
      // Queries, keys, values, output, two of the MLP: forward, and for both factors backward.
      assertThat(products).isEqualTo(18);
      assertThat(types).containsExactly("Cast", "MatMul");
    }
  }

  @Test
  void learnsAsInFloat32AndExportsFloat32() throws IOException {
    TrainingResult single = train("float32", "training.steps=40").result();
    TrainJob.Outcome outcome = train("bfloat16", "training.steps=40");
    TrainingResult rounded = outcome.result();
    // Before training both are the same: validation is float32.
    assertThat(rounded.before().loss()).isEqualTo(single.before().loss());
    assertThat(single.after().loss()).isLessThan(0.9 * single.before().loss());
    assertThat(rounded.after().loss())
        .isNotEqualTo(single.after().loss())
        .isCloseTo(single.after().loss(), within(0.03 * single.after().loss()));
    Path model = outcome.model().orElseThrow();
    PerformerModels.load(model)
        .weights()
        .forEach((name, array) -> assertThat(array.type()).as(name).isEqualTo(NpyType.FLOAT32));
    String graph =
        SavedModel.parseFrom(Files.readAllBytes(model.resolve("saved_model.pb"))).toString();
    assertThat(graph).contains("DT_FLOAT").doesNotContain("DT_BFLOAT16");
  }

  @Test
  @Tag("slow")
  void xlaCompilesIt() {
    TrainingResult plain = train("bfloat16", "data.bucket=32").result();
    TrainingResult compiled = train("bfloat16", "data.bucket=32", "training.xla=true").result();
    assertThat(compiled.after().loss())
        .isCloseTo(plain.after().loss(), within(0.03 * plain.after().loss()));
  }

  private TrainJob.Outcome train(String precision, String... settings) {
    List<String> all = new ArrayList<>(List.of(settings));
    all.add("training.precision=" + precision);
    Recipe recipe = TinyRecipe.in(temporary, all.toArray(String[]::new));
    Path run = temporary.resolve(precision + "-" + recipe.training().xla());
    return TrainJob.of(recipe, run).run(Progress.silent());
  }

  @Test
  void otherValuesAreRefusedAndARunMayChangeOver() {
    for (String value : List.of("float16", "null", "16")) {
      assertThatThrownBy(() -> TinyRecipe.in(temporary, "training.precision=" + value))
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("precision")
          .hasMessageContaining("bfloat16")
          .hasMessageNotContaining("\n");
    }
    assertThatThrownBy(() -> TinyRecipe.in(temporary, "training.xla=perhaps"))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("xla")
        .hasMessageNotContaining("\n");
    Recipe single = TinyRecipe.in(temporary);
    assertThat(single.training().precision()).isEqualTo(Precision.FLOAT32);
    Recipe rounded = TinyRecipe.in(temporary, "training.precision=bfloat16");
    assertThat(ResumePolicy.changes(single.toJson(), rounded.toJson(), Path.of("run")))
        .containsExactly("training.precision was float32 and is now bfloat16");
  }
}
