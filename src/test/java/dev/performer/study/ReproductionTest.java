package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.pipeline.TrainJob;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.TinyRecipe;
import dev.performer.training.BatchSource;
import dev.performer.training.LabelledBatch;
import dev.performer.training.ModelTraining;
import dev.performer.training.TokenBatchSource;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReproductionTest {
  @TempDir Path temporary;

  @Test
  void comparesRunsOfEqualStepsAndGoesOnWhereItWasStopped() throws IOException {
    TinyRecipe.in(temporary); // writes the data
    Path recipe =
        Files.writeString(
            temporary.resolve("tiny.yaml"),
            "# A tiny comparison.\n# Of two.\n#\n# And more.\n"
                + TinyRecipe.TEXT
                + "runs:\n  exact: {set: ['model.attention={exact: true}']}\n  favor: {from: exact}\n");
    Path output = temporary.resolve("out");
    Reproduction reproduction =
        new Reproduction(List.of(recipe), List.of(temporary), Duration.ofSeconds(1), output);
    String log = run(reproduction);
    assertThat(log).contains("== tiny, exact: ", "== tiny, favor: ");
    Reproduction.Result exact = result(output, "exact");
    Reproduction.Result favor = result(output, "favor");
    assertThat(exact.steps()).isEqualTo(favor.steps()).isGreaterThanOrEqualTo(20);
    assertThat(exact.before().guesses()).isEqualTo(favor.after().guesses());
    // It starts with the other's weights, not with random ones.
    assertThat(favor.before().loss()).isLessThan(exact.before().loss() - 0.2);
    String results = Files.readString(output.resolve(Reproduction.RESULTS));
    assertThat(results)
        .contains("## tiny", "A tiny comparison. Of two.", "| unigram baseline |", "| favor | ")
        .contains("![tiny](tiny.png)")
        .doesNotContain("And more");
    assertThat(ImageIO.read(output.resolve("tiny.png").toFile()).getWidth()).isEqualTo(900);
    assertThat(output.resolve("probe")).doesNotExist();

    // An interruption after the first run: it is not trained again, the second is, the same.
    FileTime trained = Files.getLastModifiedTime(output.resolve("tiny/exact/checkpoints"));
    AtomicFiles.delete(output.resolve("tiny/favor"));
    run(reproduction);
    assertThat(result(output, "favor").after().loss()).isEqualTo(favor.after().loss());
    assertThat(result(output, "exact")).isEqualTo(exact);
    assertThat(Files.getLastModifiedTime(output.resolve("tiny/exact/checkpoints")))
        .isLessThanOrEqualTo(trained);

    // Nor are the steps of a run that was stopped within.
    Recipe half = Recipe.ofRun(output.resolve("tiny/favor"));
    AtomicFiles.delete(output.resolve("tiny/favor"));
    TrainJob.of(half, output.resolve("tiny/favor"))
        .startingFrom(output.resolve("tiny/exact/model"))
        .pausingAt(7)
        .run(Progress.lines(new PrintStream(new ByteArrayOutputStream())));
    assertThat(run(reproduction)).contains("resumed at step 7");
    assertThat(result(output, "favor").after().loss()).isEqualTo(favor.after().loss());

    Path other = Files.copy(recipe, temporary.resolve("other.yaml"));
    assertThatThrownBy(
            () ->
                run(
                    new Reproduction(
                        List.of(other), List.of(temporary), Duration.ofSeconds(1), output)))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("was begun without the recipe other");
  }

  @Test
  void theCheapGetAllTheirStepsAndTheOthersEqualTimes() {
    Map<String, Reproduction.Cost> costs = new LinkedHashMap<>();
    costs.put("cheap", new Reproduction.Cost(10, 5));
    costs.put("dear", new Reproduction.Cost(400, 5));
    costs.put("dearer", new Reproduction.Cost(900, 10));
    Map<String, Double> shares = Reproduction.shares(costs, 130); // 110 beside the starts
    assertThat(shares.get("cheap")).isEqualTo(1);
    assertThat(shares.get("dear")).isCloseTo(50 / 400.0, within(1e-12));
    assertThat(shares.get("dearer")).isCloseTo(50 / 900.0, within(1e-12));
    assertThat(shares).containsOnlyKeys("cheap", "dear", "dearer");
    assertThat(Reproduction.shares(costs, 2640).values()).allMatch(share -> share == 2);
    assertThat(Reproduction.shares(costs, 1e9).values()).allMatch(share -> share == 10);
    assertThat(Reproduction.shares(costs, 1).get("dearer")).isPositive();
  }

  @Test
  void theBaselineCountsTokens() {
    // The letters of the tiny model's language are about equally likely.
    Recipe recipe = TinyRecipe.in(temporary, "training.evaluationBatches=0", "data.end=false");
    Evaluation baseline = UnigramBaseline.of(recipe);
    double[] counts = new double[29];
    double total = 0;
    ModelTraining.Data split = recipe.data().batches(recipe.batchSize(), 1);
    try (BatchSource train = TokenBatchSource.evaluation(split.train(), recipe.objective())) {
      while (train.hasNext()) {
        LabelledBatch batch = train.next();
        for (int i = 0; i < batch.targets().length; i++) {
          counts[batch.targets()[i]] += batch.weights()[i];
          total += batch.weights()[i];
        }
      }
    }
    double entropy = 0;
    for (double count : counts) {
      entropy -= count == 0 ? 0 : count / total * Math.log(count / total);
    }
    assertThat(baseline.loss()).isCloseTo(entropy, within(0.03));
    assertThat(baseline.perplexity()).isCloseTo(Math.exp(baseline.loss()), within(1e-9));
    assertThat(baseline.accuracy()).isBetween(0.04, 0.12);
  }

  private static Reproduction.Result result(Path output, String run) {
    return StrictJson.read(
        output.resolve("tiny").resolve(run).resolve("result.json"), Reproduction.Result.class);
  }

  private static String run(Reproduction reproduction) {
    ByteArrayOutputStream log = new ByteArrayOutputStream();
    reproduction.run(Progress.lines(new PrintStream(log, true, StandardCharsets.UTF_8)));
    return log.toString(StandardCharsets.UTF_8);
  }
}
