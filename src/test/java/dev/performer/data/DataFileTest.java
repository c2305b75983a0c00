package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DataFileTest {
  @TempDir Path folder;

  @Test
  void writesWithThePermissionsOfAnyNewFileAndReplaces() throws IOException {
    Path file = folder.resolve("a.txt");
    DataFile.write(file, out -> out.write('a'));
    DataFile.write(file, out -> out.write('b'));
    assertThat(file).hasContent("b");
    Path plain = Files.writeString(folder.resolve("plain"), "");
    assertThat(Files.getPosixFilePermissions(file)).isEqualTo(Files.getPosixFilePermissions(plain));
    assertThat(folder.toFile().list()).containsExactlyInAnyOrder("a.txt", "plain");
  }

  @Test
  void aFailureLeavesTheEarlierFileAndNothingElse() throws IOException {
    Path file = Files.writeString(folder.resolve("a.txt"), "good");
    assertThatThrownBy(
            () ->
                DataFile.write(
                    file,
                    out -> {
                      out.write('b');
                      throw new IOException("No space left on device");
                    }))
        .isInstanceOf(PerformerException.class)
        .hasMessage(file + ": cannot be written: No space left on device");
    assertThat(file).hasContent("good");
    assertThat(folder.toFile().list()).containsExactly("a.txt");
  }

  @Test
  void makesTheFolders() {
    Path file = folder.resolve("new/deep/a.txt");
    DataFile.write(file, out -> out.write('a'));
    assertThat(file).hasContent("a");
  }

  @Test
  void namesWhatIsInTheWay() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    assertRefused(folder, "is a directory");
    assertRefused(Path.of("/"), "is a directory");
    assertRefused(file.resolve("a.npz"), "cannot be written");
  }

  @Test
  void keepsLinksAndDevices() throws IOException {
    Path target = Files.writeString(folder.resolve("target"), "old");
    Path link = Files.createSymbolicLink(folder.resolve("link"), target);
    DataFile.write(link, out -> out.write('n'));
    assertThat(link).isSymbolicLink();
    assertThat(target).hasContent("n");

    Path sink = Path.of("/dev/null");
    assumeTrue(Files.exists(sink));
    Path toSink = Files.createSymbolicLink(folder.resolve("sink"), sink);
    DataFile.write(toSink, out -> out.write('n'));
    assertThat(Files.isRegularFile(sink)).isFalse();
    assertThat(toSink).isSymbolicLink();
  }

  private static void assertRefused(Path file, String why) {
    assertThatThrownBy(() -> DataFile.write(file, out -> out.write('x')))
        .isInstanceOf(PerformerException.class)
        .hasMessageStartingWith(file.toString())
        .hasMessageContaining(why);
  }
}
