package dev.performer.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.performer.data.NpyArray;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** SavedModels that Keras and others wrote, by {@code convert}. */
class ConvertImportedTest {
  @TempDir Path folder;

  @Test
  void attentionOfKerasBecomesFavor() {
    Path model = ReferenceModels.directory("softmax/keras_causal");
    String listed = CommandLineRun.of("convert", model, "--list").done().out();
    assertThat(listed).startsWith("layer 0: ").contains("[?, 2, ?, 4]", "causal, masked keys");
    Path favor = folder.resolve("favor");
    var run =
        CommandLineRun.of(
            "convert",
            model,
            "--attention",
            "favor",
            "--features",
            32,
            "--output",
            favor,
            "--json");
    assertThat(run.done().json().path("layers")).hasSize(1);
    try (var converted = SavedModelPredictor.load(favor)) {
      var tokens = Map.of("tokens", NpyArray.of(new int[] {3, 4, 5, 6}, 1, 4));
      var outputs = converted.predict("serving_default", tokens);
      assertThat(outputs.get("states").floats()).hasSize(32).doesNotContain(Float.NaN);
    }
    assertThat(CommandLineRun.of("inspect", favor).done().out())
        .contains("linear_attention_0/projection", "can be trained");
  }

  @Test
  void aModelWithoutAttentionIsRefused() {
    Path target = folder.resolve("none");
    Path none = ReferenceModels.directory("constructs/embed").resolve("saved_model");
    CommandLineRun.of("convert", none, "--attention", "favor", "--output", target)
        .failed(1, "has no exact attention");
    Path alibi = ReferenceModels.directory("softmax/alibi");
    CommandLineRun.of("convert", alibi, "--attention", "favor", "--output", target)
        .failed(1, "a bias is added");
    Path plain = ReferenceModels.directory("softmax/plain");
    CommandLineRun.of("convert", plain, "--attention", "favor", "--layers", 3, "--output", target)
        .failed(1, "there is no layer 3");
    CommandLineRun.of("convert", plain, "--interpolate-positions", 50, "--output", target)
        .failed(1, "not its positions");
    assertThat(Files.exists(target)).isFalse();
  }
}
