package dev.performer.server.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.performer.data.NpyArray;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Tag("slow")
class ReloadLeakTest {
  private static final Path MODEL = Path.of("src/test/resources/savedmodels/served/types");
  private static final Path MEMORY = Path.of("/proc/self/statm");
  private static final int RELOADS = 100;

  @TempDir Path folder;

  @Test
  void reloadsLeaveNoNativeMemoryBehind() throws IOException {
    assumeThat(MEMORY).exists();
    Path model = Files.createDirectories(folder.resolve("m"));
    try (var files = Files.walk(MODEL)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path copy = model.resolve(MODEL.relativize(file));
        Files.createDirectories(copy.getParent());
        Files.copy(file, copy);
      }
    }
    var options = RepositoryOptions.DEFAULT.withPoll(Duration.ZERO);
    try (var repository = ModelRepository.open(ModelConfig.of(List.of("m=" + model)), options)) {
      repository.awaitLoaded();
      reload(repository, model, RELOADS / 3);
      long before = resident();
      reload(repository, model, RELOADS);
      // A session that stays takes 0.9 MB.
      assertThat(resident() - before).as("MB of %d reloads", RELOADS).isLessThan(RELOADS * 3 / 10);
    }
  }

  private static void reload(ModelRepository repository, Path model, int times) throws IOException {
    for (int i = 0; i < times; i++) {
      Files.writeString(model.resolve("note"), "reload " + "x".repeat(i % 7 + 1));
      ServedModel before = current(repository);
      repository.look();
      repository.look();
      ServedModel after = current(repository);
      assertThat(after).isNotSameAs(before);
      var outputs = after.predict("serving_default", Map.of("x", NpyArray.of(new float[] {2}, 1)));
      assertThat(outputs.get("y").floats()).containsExactly(3);
    }
    System.gc();
  }

  private static ServedModel current(ModelRepository repository) {
    try (Lease lease = repository.lease("m", Version.LATEST)) {
      return lease.model();
    }
  }

  /** MB. */
  private static long resident() throws IOException {
    return Long.parseLong(Files.readString(MEMORY).split(" ")[1]) * 4096 >> 20;
  }
}
