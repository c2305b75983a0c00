package dev.performer.checkpoint;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.CpuLimit;
import dev.performer.PerformerException;
import dev.performer.savedmodel.ReferenceModels;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** HDF5 files that claim what they do not hold are refused in one line. */
class Hdf5HostileTest {

  @ParameterizedTest
  @ValueSource(
      strings = {"unwritten", "gzip", "chunks", "text", "deep", "cycle", "soft", "external"})
  void refused(String name) {
    Path file = ReferenceModels.directory("checkpoints/hdf5_hostile").resolve(name + ".h5");
    CpuLimit.within(
        Duration.ofSeconds(5),
        name,
        () ->
            assertThatThrownBy(() -> Checkpoints.open(file))
                .isInstanceOf(PerformerException.class)
                .hasMessageContaining(name + ".h5"));
  }

  /** A zip of a few kilobytes that would be megabytes of zeros. */
  @Test
  void zipBomb(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("model.keras");
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
      zip.putNextEntry(new ZipEntry("config.json"));
      zip.write("{}".getBytes(StandardCharsets.UTF_8));
      zip.putNextEntry(new ZipEntry("model.weights.h5"));
      byte[] zeros = new byte[1 << 20];
      for (int i = 0; i < 48; i++) {
        zip.write(zeros);
      }
    }
    assertThatThrownBy(() -> Checkpoints.open(file))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("model.keras, model.weights.h5 claims 50331648 bytes");
  }
}
