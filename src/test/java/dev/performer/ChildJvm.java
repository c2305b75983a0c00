package dev.performer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/**
 * A JVM of its own for a test. Waiting is for an event, never for a time: the limit is far beyond
 * what any load of the machine makes of it.
 *
 * @param log what it prints
 */
public record ChildJvm(Process process, Path log) implements AutoCloseable {
  private static final long LIMIT_MINUTES = 30;

  /**
   * Starts a class.
   *
   * @param log replaced by what it prints
   * @param prefix a command that runs the rest; empty for none
   */
  public static ChildJvm start(Path log, List<String> prefix, Class<?> main, Object... arguments)
      throws IOException {
    List<String> command = new ArrayList<>(prefix);
    command.addAll(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx512m",
            "-Djava.awt.headless=true",
            "-XX:-UsePerfData",
            "-cp",
            System.getProperty("java.class.path"),
            main.getName()));
    for (Object argument : arguments) {
      command.add(argument.toString());
    }
    Process process =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()).start();
    return new ChildJvm(process, log);
  }

  /** Waits until something is so. @throws AssertionError with its log if it ends before */
  public void await(String what, Callable<Boolean> condition) throws Exception {
    long end = System.nanoTime() + TimeUnit.MINUTES.toNanos(LIMIT_MINUTES);
    while (!condition.call()) {
      if (!process.isAlive() && !condition.call()) {
        throw new AssertionError("ended before " + what + ": " + Files.readString(log));
      }
      assertThat(System.nanoTime()).as("%s never comes", what).isLessThan(end);
      Thread.sleep(20);
    }
  }

  /** Waits for its end. */
  public int exitValue() throws InterruptedException {
    assertThat(process.waitFor(LIMIT_MINUTES, TimeUnit.MINUTES)).as("it ends").isTrue();
    return process.exitValue();
  }

  /** Ends it as {@code kill -9} does. */
  public void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }
}
