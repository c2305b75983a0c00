package dev.performer.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.model.Task;
import dev.performer.training.optim.Optimizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RecipeTest {
  @TempDir Path temporary;

  @Test
  void fillsInWhatFollowsFromOtherKeys() {
    Recipe recipe = TinyRecipe.in(temporary);
    assertThat(recipe.task()).isEqualTo(Task.CAUSAL_LM);
    assertThat(recipe.model().vocabularySize()).isEqualTo(29);
    assertThat(recipe.model().padId()).isEqualTo(27);
    assertThat(recipe.model().maxLength()).isEqualTo(32);
    assertThat(recipe.model().attentionOf(0).isCausal()).isTrue();
    assertThat(recipe.data().train()).isEqualTo(temporary.resolve("train.fasta").toString());
    assertThat(recipe.training().optimizer()).isEqualTo(Optimizer.named("adamw"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "modle: {} | unknown key modle; did you mean model?",
        "task: classify | key task: expected one of",
        "task: null | task is empty; expected causal-lm, masked-lm, classification",
        "task: encoder | task is \"encoder\"; expected causal-lm, masked-lm, classification",
        "data: {train: gone.fasta} | the data file gone.fasta does not exist; looked in",
        "data: {train: t.fasta, lenght: 3} | data: unknown key lenght; did you mean length?",
        "data: {train: t.fasta, length: 0} | data.length must be at least 2",
        "data: {train: t.fasta, window: 0} | data.window must be at least 1, not 0",
        "data: {train: t.fasta, bucket: 0} | data.bucket must be at least 1, not 0",
        "data: {train: t.fasta, kind: pixels, channels: 2} | data.channels must be 1 or 3, not 2",
        "model: {task: null} | model.task is empty, but task is",
        "data: {train: t.fasta, vocabulary: bytes} | data.kind fasta and data.vocabulary bytes do not go",
        "data: {length: 16} | data.train is missing",
        "model: {task: masked-lm} | model.task is \"masked-lm\", but task is \"causal-lm\"",
        "model: {hidenSize: 8} | model: unknown key hidenSize; did you mean hiddenSize?",
        "model: {preset: performr} | unknown preset 'performr'; did you mean 'performer'?",
        "model: {vocabularySize: 7, padId: 0} | model.vocabularySize is 7, but the vocabulary google-protein has 29",
        "model: {maxLength: 8} | model.maxLength is 8, but data.length is 512",
        "model: {attention: {exact: true, causal: false}} | task causal-lm needs causal attention",
        "model: {attention: {kernel: softmax, convention: google-tf, directions: iid}} | google-tf makes it has no iid",
        "model: {attention: {kernel: exp, convention: model-garden, lengths: sqrt-d}} | row lengths sqrt-d",
        "model: {heads: 3} | tiny.yaml",
        "training: {steps: 0} | training: steps must be at least 1, not 0",
        "training: {steps: many} | key steps: expected a whole number",
        "training: {learningRate: -1} | learningRate must be above 0",
        "training: {schedule: cosinus} | did you mean cosine?",
        "training: {optimizer: adam} | no optimizer 'adam'; did you mean adamw?",
        "training: {patience: 2, evaluateEvery: 0} | patience needs evaluations",
        "training: 3 | key training: expected an object",
      })
  void refusesWhatCannotBe(String wrong) throws IOException {
    Files.writeString(temporary.resolve("t.fasta"), ">a\nACD\n");
    String[] parts = wrong.split(" \\| ");
    String key = parts[0].substring(0, parts[0].indexOf(':'));
    StringBuilder yaml = new StringBuilder();
    if (!key.equals("task")) {
      yaml.append("task: causal-lm\n");
    }
    if (!key.equals("data")) {
      yaml.append("data: {train: t.fasta}\n");
    }
    yaml.append(parts[0]);
    assertThatThrownBy(
            () -> Recipe.of(TinyRecipe.tree(yaml.toString()), "tiny.yaml", List.of(temporary)))
        .isInstanceOf(PerformerException.class)
        .hasMessageStartingWith("tiny.yaml")
        .hasMessageContaining(parts[1]);
  }

  /** Runs of earlier versions drew otherwise than their recipes have it. */
  @Test
  void aRunMayHaveProjectionsThatCannotBeDrawn() throws IOException {
    Files.writeString(
        temporary.resolve(RecipeTraining.RECIPE),
        "task: causal-lm\ndata: {train: gone.fasta}\n"
            + "model: {attention: {kernel: softmax, convention: google-tf, directions: iid}}\n");
    assertThat(Recipe.ofRun(temporary).model().attentionOf(0).projectionRows()).isEqualTo(128);
  }

  @Test
  void takesNumbersAsPeopleWriteThem() throws IOException {
    Path file = temporary.resolve("recipe.yaml");
    Files.writeString(temporary.resolve("t.fasta"), ">a\nACD\n");
    Files.writeString(
        file,
        "task: masked-lm\ndata: {train: t.fasta}\ntraining: {learningRate: 1e-3, zLoss: 1E-4}\n");
    Recipe recipe = Recipe.of(StrictJson.readTree(file), "recipe.yaml", List.of(temporary));
    assertThat(recipe.training().schedule().learningRate()).isEqualTo(1e-3);
    assertThat(recipe.training().zLoss()).isEqualTo(1e-4);
  }
}
