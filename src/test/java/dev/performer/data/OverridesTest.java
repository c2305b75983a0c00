package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OverridesTest {
  private static JsonNode yaml(String text) {
    return StrictJson.readYaml(text, "test");
  }

  private static JsonNode over(String tree, String... settings) {
    return new Overrides(List.of(settings)).over(yaml(tree));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "3 | 3",
        "-2 | -2",
        "0.5 | 0.5",
        "1e-3 | 0.001",
        "3.0e-4 | 3.0E-4",
        "true | true",
        "null | null",
        "text with spaces | \"text with spaces\"",
        "a=b | \"a=b\"",
        "'3' | \"3\"",
        "[1, two] | [1,\"two\"]",
        "{kernel: relu, features: 8} | {\"kernel\":\"relu\",\"features\":8}"
      })
  void valuesAreYaml(String value, String json) {
    assertThat(over("{a: {b: old}}", "a.b=" + value).at("/a/b").toString()).isEqualTo(json);
  }

  @Test
  void pathsGoThroughObjectsAndLists() {
    JsonNode tree =
        over("{layers: [{heads: 1}, {heads: 2}], other: 1}", "layers.1.heads=8", "new.deep.key=x");
    assertThat(tree.toString())
        .isEqualTo(
            "{\"layers\":[{\"heads\":1},{\"heads\":8}],\"other\":1,\"new\":{\"deep\":{\"key\":\"x\"}}}");
  }

  @Test
  void laterOnesWinAndTheTreeStays() {
    JsonNode tree = yaml("{a: 1}");
    assertThat(new Overrides(List.of("a=2", "a=3")).over(tree).path("a").asInt()).isEqualTo(3);
    assertThat(tree.path("a").asInt()).isEqualTo(1);
    assertThat(new Overrides(null).over(tree)).isEqualTo(tree);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "a.b | expected KEY=VALUE",
        "=3 | expected KEY=VALUE",
        "a..b=3 | expected KEY=VALUE",
        "a.b=3 | there is no b in 1, which is no object",
        "list.7=3 | 7 is no place in a list of 2",
        "list.x=3 | x is no place in a list of 2",
        "a=[1 | the value is not YAML"
      })
  void refusals(String setting, String why) {
    assertThatThrownBy(() -> over("{a: 1, list: [1, 2]}", setting))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("setting " + setting)
        .hasMessageContaining(why);
  }

  @Test
  void readsRecipes(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("recipe.yaml");
    Files.writeString(file, "training:\n  steps: 5   # few\n");
    Overrides overrides = new Overrides(List.of("training.steps=6"));
    assertThat(overrides.read(file).at("/training/steps").asInt()).isEqualTo(6);
    assertThat(overrides.source("r.yaml")).isEqualTo("r.yaml with training.steps=6");
    assertThatThrownBy(() -> overrides.read(folder.resolve("none.yaml")))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("none.yaml");
  }
}
