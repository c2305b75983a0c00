package dev.performer.study;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * A process of its own for a measurement: its memory is not another's, and it ends with the one
 * that wants to know, or at a limit of time.
 */
final class MeasuringProcess {
  private static final ObjectMapper JSON = new ObjectMapper();

  private MeasuringProcess() {}

  /**
   * Measures a case in a fork of this JVM.
   *
   * @param limit after which it is ended
   * @throws PerformerException if it fails or takes longer
   */
  static <R> R measure(Case<R> what, Class<R> result, Duration limit) {
    String line = lastLine(MeasuringProcess.class, arguments(what), what.label(), limit);
    return StrictJson.bind(
        StrictJson.readTree(line.getBytes(StandardCharsets.UTF_8), what.label()),
        result,
        what.label());
  }

  private static List<String> arguments(Case<?> what) {
    return List.of(what.getClass().getName(), StrictJson.tree(what).toString());
  }

  /**
   * Runs a class in a fork of this JVM.
   *
   * @param what is measured, for errors
   * @return the last line that it prints
   * @throws PerformerException if it fails or takes longer than the limit
   */
  static String lastLine(Class<?> main, List<String> arguments, String what, Duration limit) {
    try {
      Path folder = Files.createTempDirectory("performer-measure");
      Path answer = folder.resolve("answer");
      Process process =
          new ProcessBuilder(command(main, arguments, folder))
              .redirectOutput(answer.toFile())
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      CountDownLatch shutdown = new CountDownLatch(1);
      Thread hook =
          new Thread(
              () -> {
                shutdown.countDown();
                end(process, folder);
              });
      try {
        Runtime.getRuntime().addShutdownHook(hook);
        if (!process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS)) {
          throw new PerformerException(what + ": no result after " + words(limit));
        }
        List<String> lines = Files.readAllLines(answer);
        if (process.exitValue() != 0 || lines.isEmpty()) {
          // Ctrl-C ends both: the one that waits shall not go on to the next measurement.
          if (shutdown.await(1, TimeUnit.SECONDS)) {
            throw new InterruptedException();
          }
          throw new PerformerException(
              what + ": the measuring process ended with exit code " + process.exitValue());
        }
        return lines.get(lines.size() - 1);
      } finally {
        end(process, folder);
        if (shutdown.getCount() > 0) {
          Runtime.getRuntime().removeShutdownHook(hook);
        }
      }
    } catch (IOException e) {
      throw new PerformerException(what + ": cannot be measured: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("interrupted", e);
    }
  }

  private static void end(Process process, Path folder) {
    process.destroyForcibly();
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // its files may stay
    }
    AtomicFiles.discard(folder);
  }

  private static List<String> command(Class<?> main, List<String> arguments, Path temporary) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // -Xrs: a signal ends the process at once. Java's own end of it runs the destructors of native
    // libraries while TensorFlow's threads still work, which now and then is a SIGSEGV.
    command.addAll(
        List.of(
            "-Xrs",
            "-Xmx1g",
            "-XX:+UseSerialGC",
            "-Djava.io.tmpdir=" + temporary,
            "-XX:ErrorFile=" + Path.of(System.getProperty("java.io.tmpdir"), "hs_err_pid%p.log"),
            "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0",
            "-cp",
            System.getProperty("java.class.path")));
    command.add(main.getName());
    command.addAll(arguments);
    return command;
  }

  private static String words(Duration limit) {
    return limit.toSeconds() % 60 == 0
        ? limit.toMinutes() + " minutes"
        : limit.toMillis() / 1e3 + " seconds";
  }

  /** The fork. Arguments: a class of {@link Case}, and one of it as JSON. */
  public static void main(String[] args) throws IOException, ClassNotFoundException {
    endWithParent();
    Case<?> what =
        (Case<?>)
            StrictJson.bind(
                StrictJson.readTree(args[1].getBytes(StandardCharsets.UTF_8), "the case"),
                Class.forName(args[0]),
                "the case");
    System.out.println(json(what.measure()));
  }

  private static String json(Object result) throws JsonProcessingException {
    return JSON.writeValueAsString(result);
  }

  /** Nothing is written to standard input: its end means that the parent is gone. */
  static void endWithParent() {
    Thread watch =
        new Thread(
            () -> {
              try {
                while (System.in.read() >= 0) {
                  // Not meant for anyone.
                }
              } catch (IOException e) {
                // As its end.
              }
              endAtOnce();
            },
            "parent");
    watch.setDaemon(true);
    watch.start();
  }

  /** Not even Runtime.halt leaves the destructors of native libraries out; a signal does. */
  private static void endAtOnce() {
    try {
      new ProcessBuilder("sh", "-c", "kill -9 " + ProcessHandle.current().pid()).start().waitFor();
    } catch (IOException | InterruptedException e) {
      // There is no shell: what follows is the next best.
    }
    Runtime.getRuntime().halt(1);
  }

  /** A memory line of this process in MB (10^6 bytes); 0 where the system has no such file. */
  static double residentMb(String field) throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.isReadable(status)) {
      return 0;
    }
    for (String line : Files.readAllLines(status)) {
      if (line.startsWith(field + ":")) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024 / 1e6;
      }
    }
    return 0;
  }
}
