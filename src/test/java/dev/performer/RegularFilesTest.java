package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RegularFilesTest {
  @TempDir Path folder;

  @Test
  void readsFilesAndLinksToFiles() throws IOException {
    Path file = Files.writeString(folder.resolve("a"), "one\ntwo\n");
    Path link = Files.createSymbolicLink(folder.resolve("b"), file);
    assertThat(RegularFiles.readString(file)).isEqualTo("one\ntwo\n");
    assertThat(RegularFiles.readAllLines(link)).containsExactly("one", "two");
    assertThat(RegularFiles.readAllBytes(link)).hasSize(8);
  }

  @Test
  void aPipeIsNotWaitedFor() throws Exception {
    Path pipe = folder.resolve("pipe");
    assumeThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    assertThatThrownBy(() -> RegularFiles.readAllBytes(pipe))
        .isInstanceOf(IOException.class)
        .hasMessageContainingAll(pipe.toString(), "a pipe or a device");
  }

  @Test
  void whatIsMissingOrADirectory() {
    assertThatThrownBy(() -> RegularFiles.newInputStream(folder)).hasMessageContaining("directory");
    assertThatThrownBy(() -> RegularFiles.open(folder.resolve("none")))
        .isInstanceOfSatisfying(
            IOException.class,
            e -> assertThat(AtomicFiles.describe(e)).contains("no file or directory"));
  }
}
