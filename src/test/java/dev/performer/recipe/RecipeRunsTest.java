package dev.performer.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RecipeRunsTest {
  @TempDir Path temporary;

  @Test
  void runsComeInTheirOrderWithTheirSettings() throws IOException {
    Recipe.Runs runs =
        read("runs: {exact: {set: ['model.attention={exact: true}']}, relu: {from: exact}}");
    assertThat(runs.runs()).extracting(Recipe.Runs.Run::name).containsExactly("exact", "relu");
    assertThat(runs.named("exact").set()).containsExactly("model.attention={exact: true}");
    assertThat(runs.named("relu").from()).isEqualTo("exact");
    assertThatThrownBy(() -> runs.named("rely"))
        .hasMessage("the recipe has no run 'rely'; did you mean relu? It has exact, relu");
  }

  @Test
  void aRecipeWithoutRunsIsOne() throws IOException {
    assertThat(read("task: causal-lm").runs())
        .extracting(Recipe.Runs.Run::name)
        .containsExactly("some");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "runs: 3 | key runs: expected an object of runs",
        "runs: {} | key runs: expected an object of runs",
        "runs: {a: {sets: []}} | runs.a: unknown key sets; did you mean set?",
        "runs: {a/b: {}} | expected names of letters, digits and -, not a/b",
        "runs: {a: {from: b}, b: {}} | runs.a.from: no run b before it",
      })
  void refusesWhatCannotBe(String wrong) {
    String[] parts = wrong.split(" \\| ");
    assertThatThrownBy(() -> read(parts[0]))
        .isInstanceOf(PerformerException.class)
        .hasMessageStartingWith(temporary.resolve("some.yaml").toString())
        .hasMessageContaining(parts[1]);
  }

  private Recipe.Runs read(String yaml) throws IOException {
    return Recipe.Runs.read(Files.writeString(temporary.resolve("some.yaml"), yaml + "\n"));
  }
}
