package dev.performer.savedmodel.protos;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.data.NpyArray;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WarmUpTest {
  @TempDir Path folder;

  private Path copy() {
    Path source = ReferenceModels.directory("models/protein_exp").resolve("saved_model");
    return ReferenceModels.copy(source, folder.resolve("model"));
  }

  @Test
  void whatIsWrittenIsReadAndRun() {
    Path path = copy();
    NpyArray tokens = NpyArray.of(new int[] {1, 2, 3, 4}, 2, 2);
    var calls =
        List.of(
            new WarmUp.Call("serving_default", Map.of("tokens", tokens), List.of("lm_logits")),
            new WarmUp.Call("embed", Map.of("tokens", tokens)));
    var directory = SavedModelDirectory.open(path);
    assertThat(WarmUp.read(directory)).isEmpty();
    WarmUp.write(directory, "protein", calls);
    assertThat(WarmUp.read(directory)).isEqualTo(calls);
    try (var model = SavedModelPredictor.load(path)) {
      WarmUp.run(model);
    }
  }

  @Test
  void whatCannotBeRunIsNamed() throws Exception {
    Path path = copy();
    NpyArray outside = NpyArray.of(new int[] {5000}, 1, 1);
    var directory = SavedModelDirectory.open(path);
    WarmUp.write(directory, "m", List.of(new WarmUp.Call("embed", Map.of("tokens", outside))));
    try (var model = SavedModelPredictor.load(path)) {
      assertThatThrownBy(() -> WarmUp.run(model))
          .hasMessageContainingAll("tf_serving_warmup_requests, call 1", "embed", "failed");
    }
    Path file = path.resolve(WarmUp.FILE);
    byte[] bytes = Files.readAllBytes(file);
    Files.write(file, Arrays.copyOf(bytes, bytes.length - 5));
    assertThatThrownBy(() -> WarmUp.read(directory)).hasMessageContaining("record 1");
    Files.write(file, dev.performer.data.TfRecordFile.framed(new byte[] {9, 9, 9}));
    assertThatThrownBy(() -> WarmUp.read(directory))
        .hasMessageContaining("record 1: no PredictionLog");
    Files.write(file, dev.performer.data.TfRecordFile.framed(new byte[0]));
    assertThatThrownBy(() -> WarmUp.read(directory)).hasMessageContaining("record 1: expected");
  }
}
