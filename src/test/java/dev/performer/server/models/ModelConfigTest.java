package dev.performer.server.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.server.models.ModelConfig.Policy;
import dev.performer.server.models.ModelConfig.Served;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigTest {
  @TempDir Path folder;

  private Path write(String text) throws IOException {
    return Files.writeString(folder.resolve("models.config"), text);
  }

  @Test
  void readsTheTextForm() throws IOException {
    Files.createDirectory(folder.resolve("beside"));
    Path file =
        write(
            """
            # two models
            model_config_list: {
              config {
                name: "first" base_path: '/models/' "first"   # strings join
                model_platform: "tensorflow";
                model_version_policy { specific { versions: 42 versions: 43 } }
                version_labels { key: "stable" value: 42 },
                version_labels < key: 'canary', value: 43 >
              },
              config: [{name: '\\x6d\\303\\2512é', base_path: "file:///models/two",
                model_version_policy: {all: {}}}]
              config { name: "three" base_path: "beside" model_version_policy { latest { num_versions: 3 } } }
              config { name: "four" base_path: "nowhere" logging_config { sampling_config { sampling_rate: 0.1 } } }
            }
            """);
    assertThat(ModelConfig.read(file).models())
        .containsExactly(
            new Served(
                "first",
                Path.of("/models/first"),
                new Policy.Specific(Set.of(42L, 43L)),
                Map.of("stable", 42L, "canary", 43L)),
            new Served("mé2é", Path.of("/models/two"), new Policy.All(), Map.of()),
            new Served("three", folder.resolve("beside"), new Policy.Latest(3), Map.of()),
            new Served("four", Path.of("nowhere"), new Policy.Latest(1), Map.of()));
  }

  @Test
  void readsJson() throws IOException {
    Path file =
        write(
            """
            {"modelConfigList": {"config": [{"name": "a", "basePath": "/a", "modelVersionPolicy":
              {"specific": {"versions": ["1", 2]}}, "versionLabels": {"stable": "1"}},
              {"name": "b", "base_path": "/b", "model_version_policy": {"latest": {}}}]}}
            """);
    assertThat(ModelConfig.read(file).models())
        .containsExactly(
            new Served(
                "a", Path.of("/a"), new Policy.Specific(Set.of(1L, 2L)), Map.of("stable", 1L)),
            new Served("b", Path.of("/b"), new Policy.Latest(1), Map.of()));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          model_config_list { config { name: "a" base_path: "/a" | line 1: 'the end of the file'
          model_config_list { config { name: "a base_path: } }   | line 1: '"' where
          model_config_list { config { name "a" } }              | line 1: 'a' where : or {
          model_config_list { config { nam: "a" } }              | unknown field nam
          model_config_list { config { name: "a" } }             | model a: has no base_path
          model_config_list { config { base_path: "a" } }        | a config has no name
          model_config_list { config { name: "a/b" base_path: "/a" } } | 'a/b' is no name of a model
          model_config_list { config { name: "a" base_path: "/a" model_platform: "torch" } } | the platform torch
          model_config_list { config { name: "a" base_path: "/a" model_version_policy { latest { num_versions: 0 } } } } | model a: of the latest
          model_config_list { config { name: "a" base_path: "/a" model_version_policy { specific { } } } } | model a: specific has no versions
          model_config_list { config { name: "a" base_path: "/a" version_labels { key: "x" value: "y" } } } | model a: version_labels: a whole number
          model_config_list { config { name: "a" base_path: "/a" } config { name: "a" base_path: "/b" } } | two models have the name a
          custom_model_config { }                                | custom_model_config is not supported
          {"model_config_list": {"config": [{"name": "a"]}}      | line 1
          ``                                                     | it has no model_config_list
          """)
  void refusesInOneLine(String text, String message) throws IOException {
    Path file = write(text);
    assertThatThrownBy(() -> ModelConfig.read(file))
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @Test
  void hidesWhereModelsLie() {
    var here = new Served("m", Path.of("."), new Policy.All(), Map.of());
    var there = new Served("n", Path.of("/models/n"), new Policy.All(), Map.of());
    String shown = new ModelConfig(List.of(here, there)).withoutPaths("/models/n/3: no. 1 fails.");
    assertThat(shown).isEqualTo("n/3: no. 1 fails.");
  }

  @Test
  void namesWhatIsMissing() {
    assertThatThrownBy(() -> ModelConfig.read(folder.resolve("none")))
        .hasMessageContaining("cannot be read: no file");
    assertThatThrownBy(() -> ModelConfig.read(folder)).hasMessageContaining("a directory");
    assertThatThrownBy(() -> ModelConfig.of(List.of(folder + "/none")))
        .hasMessageEndingWith("does not exist");
  }

  @Test
  void aFolderWithoutVersionsMayWaitForThemButHoldsNothingElse() throws IOException {
    Path base = Files.createDirectories(folder.resolve("base"));
    Files.writeString(base.resolve("README.md"), "versions come here");
    assertThat(ModelConfig.of(List.of("" + base)).models()).hasSize(1);
    Path model = Files.createDirectories(base.resolve("saved_model"));
    Files.createFile(model.resolve("saved_model.pb"));
    assertThatThrownBy(() -> ModelConfig.of(List.of("" + base)))
        .hasMessage(
            "%s: no folder in it has a version's number for its name; name the model in it, %s",
            base, model);
    Files.move(model, base.resolve(".1.part"));
    assertThat(ModelConfig.of(List.of("" + base)).models()).hasSize(1);
    assertThatThrownBy(() -> ModelConfig.of(List.of("savedmodels/checkpoints/lm_relu")))
        .hasMessageContaining("is a checkpoint, not a model; import it");
  }
}
