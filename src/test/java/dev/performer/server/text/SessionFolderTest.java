package dev.performer.server.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SessionFolderTest {
  @TempDir Path folder;

  private static void hello(OutputStream out) {
    try {
      out.write(5);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void whatAKilledServerDidNotFinishGoesAway() throws IOException {
    Path old = Files.createFile(folder.resolve(".a.session.part-1f"));
    Path recent = Files.createFile(folder.resolve(".b.session.part-2f"));
    Path other = Files.createFile(folder.resolve("notes.txt"));
    FileTime yesterday = FileTime.from(Instant.now().minus(Duration.ofDays(1)));
    Files.setLastModifiedTime(old, yesterday);
    Files.setLastModifiedTime(other, yesterday);
    SessionFolder sessions = new SessionFolder(folder);
    assertThat(folder).isDirectoryNotContaining("glob:**.a.session.part-*");
    assertThat(recent).exists(); // perhaps of a server that is at it
    assertThat(other).exists();
    sessions.write("a", SessionFolderTest::hello);
    assertThat(folder.resolve("a.session")).hasBinaryContent(new byte[] {5});
  }

  @Test
  void aFolderThatIsNotThereYet() {
    SessionFolder sessions = new SessionFolder(folder.resolve("new"));
    sessions.write("a", SessionFolderTest::hello);
    assertThat(folder.resolve("new/a.session")).exists();
  }
}
