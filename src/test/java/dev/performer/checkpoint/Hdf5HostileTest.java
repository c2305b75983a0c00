package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.performer.PerformerException;
import dev.performer.savedmodel.ReferenceModels;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** HDF5 files that claim what they do not hold are refused in one line. */
class Hdf5HostileTest {

  @ParameterizedTest
  @ValueSource(
      strings = {"unwritten", "gzip", "chunks", "text", "deep", "cycle", "soft", "external"})
  void refused(String name) {
    Path file = ReferenceModels.directory("checkpoints/hdf5_hostile").resolve(name + ".h5");
    assertTimeoutPreemptively(
        Duration.ofSeconds(5),
        () ->
            assertThatThrownBy(() -> Checkpoints.open(file))
                .isInstanceOf(PerformerException.class)
                .hasMessageContaining(name + ".h5"));
  }
}
