package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(value = 10, unit = TimeUnit.MINUTES)
class MeasuringProcessTest {
  private static final Duration LONG = Duration.ofMinutes(5);

  @TempDir Path folder;

  /** Answers, and never ends. */
  static final class Endless {
    public static void main(String[] args) throws IOException, InterruptedException {
      Files.writeString(Path.of(args[0]), "1");
      Thread.sleep(Long.MAX_VALUE);
    }
  }

  /** Says who it is, then does nothing until its parent is gone. */
  static final class Child {
    public static void main(String[] args) throws IOException, InterruptedException {
      MeasuringProcess.endWithParent();
      Path pid = Path.of(args[0]);
      Files.writeString(pid.resolveSibling("part"), "" + ProcessHandle.current().pid());
      Files.move(pid.resolveSibling("part"), pid);
      Thread.sleep(Long.MAX_VALUE);
    }
  }

  /** Waits for a {@link Child}. */
  static final class Parent {
    public static void main(String[] args) {
      MeasuringProcess.answer(Child.class, List.of(args[0]), "a child", LONG);
    }
  }

  /** A good end. */
  static final class Answering {
    public static void main(String[] args) throws IOException {
      Files.writeString(Path.of(args[1]), args[0] + ", " + System.getProperty("java.io.tmpdir"));
    }
  }

  /** A bad end. */
  static final class Failing {
    public static void main(String[] args) {
      System.exit(7);
    }
  }

  @Test
  void whatTakesTooLongIsEnded() {
    assertThatThrownBy(
            () ->
                MeasuringProcess.answer(
                    Endless.class, List.of(), "an endless case", Duration.ofSeconds(3)))
        .isInstanceOf(PerformerException.class)
        .hasMessage("an endless case: no result after 3.0 seconds");
    assertThat(ProcessHandle.current().children())
        .noneMatch(child -> child.info().commandLine().orElse("").contains("Endless"));
  }

  @Test
  void itsFilesAreGoneWhenItHasAnswered() {
    String answer =
        new String(MeasuringProcess.answer(Answering.class, List.of("yes"), "a case", LONG));
    assertThat(answer).startsWith("yes, ");
    assertThat(Path.of(answer.substring(5))).doesNotExist();
  }

  @Test
  void failuresAreNamed() {
    assertThatThrownBy(() -> MeasuringProcess.answer(Failing.class, List.of(), "a bad case", LONG))
        .isInstanceOf(PerformerException.class)
        .hasMessage("a bad case: the measuring process ended with exit code 7");
  }

  /** Even a parent that has no time to say so. */
  @Test
  void childrenEndWithTheirParent() throws IOException, InterruptedException {
    for (String signal : List.of("KILL", "TERM")) {
      Path pid = folder.resolve(signal);
      Process parent =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-cp",
                  System.getProperty("java.class.path"),
                  Parent.class.getName(),
                  pid.toString())
              .redirectErrorStream(true)
              .redirectOutput(folder.resolve("log").toFile())
              .start();
      while (!Files.exists(pid)) {
        assertThat(parent.isAlive()).isTrue();
        Thread.sleep(20);
      }
      ProcessHandle child = ProcessHandle.of(Long.parseLong(Files.readString(pid))).orElseThrow();
      if (signal.equals("KILL")) {
        parent.destroyForcibly();
      } else {
        parent.destroy();
      }
      assertThat(parent.waitFor()).isEqualTo(signal.equals("KILL") ? 137 : 143);
      while (child.isAlive()) { // until the test's limit
        Thread.sleep(20);
      }
      assertThat(folder.resolve("log")).content().doesNotContain("SIGSEGV");
    }
  }
}
