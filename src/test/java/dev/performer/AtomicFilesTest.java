package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFilesTest {
  @TempDir Path folder;

  @Test
  void aFailedWriteLeavesTheOldFileAndNothingElse() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "old");
    assertThatThrownBy(
            () ->
                AtomicFiles.write(
                    file,
                    out -> {
                      out.write(new byte[1000]);
                      assertThat(file).hasContent("old");
                      throw new IOException("disk full");
                    }))
        .isInstanceOf(IOException.class)
        .hasMessage("disk full");
    assertThat(file).hasContent("old");
    assertThat(folder.toFile().list()).containsExactly("file");
  }

  @Test
  void aFileIsReplacedAndReadableAsOthersAre() throws IOException {
    Path plain = Files.writeString(folder.resolve("plain"), "x");
    Path file = Files.writeString(folder.resolve("file"), "a longer old text");
    AtomicFiles.write(file, new byte[] {'n', 'e', 'w'});
    assertThat(file).hasContent("new");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
        .isEqualTo(PosixFilePermissions.toString(Files.getPosixFilePermissions(plain)));
    assertThat(folder.toFile().list()).containsExactlyInAnyOrder("plain", "file");
  }

  @Test
  void deletingATreeSparesWhatLinksPointTo() throws IOException {
    Path outside = Files.createDirectory(folder.resolve("outside"));
    Path kept = Files.writeString(outside.resolve("kept"), "x");
    Path tree = folder.resolve("tree");
    Files.createDirectories(tree.resolve("deep/deeper"));
    Files.writeString(tree.resolve("deep/deeper/file"), "x");
    Files.createSymbolicLink(tree.resolve("link"), outside);
    AtomicFiles.delete(tree);
    assertThat(tree).doesNotExist();
    assertThat(kept).exists();
    AtomicFiles.delete(tree); // nothing there: nothing happens
    Path link = Files.createSymbolicLink(folder.resolve("dangling"), folder.resolve("nowhere"));
    AtomicFiles.delete(link);
    assertThat(Files.isSymbolicLink(link)).isFalse();
  }

  @Test
  void failuresAreDescribedInWords() {
    assertThat(AtomicFiles.describe(new AccessDeniedException("/a")))
        .isEqualTo("no permission for /a");
    assertThat(AtomicFiles.describe(new NoSuchFileException("/a")))
        .isEqualTo("no file or directory /a");
    assertThat(AtomicFiles.describe(new FileAlreadyExistsException("/a")))
        .isEqualTo("/a exists and is not a directory");
    assertThat(AtomicFiles.describe(new FileSystemException("/a", null, "No space left on device")))
        .isEqualTo("No space left on device");
    assertThat(AtomicFiles.describe(new IOException())).isEqualTo("the system gives no reason");
  }
}
