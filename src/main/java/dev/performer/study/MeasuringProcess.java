package dev.performer.study;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.attention.MachineTuning;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A process of its own for a measurement, which ends with its parent or at a limit of time. */
final class MeasuringProcess implements AutoCloseable {
  private static final String ANSWER = "answer";

  private final Path folder;
  private final Process process;
  private final CountDownLatch shutdown = new CountDownLatch(1);
  private final Thread hook = new Thread(this::shutDown);

  private MeasuringProcess(Path folder, Process process) {
    this.folder = folder;
    this.process = process;
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /** A case with its result, as {@link #answer}. */
  static <C extends Benchmark.Case<C>> C measure(C what, Duration limit) {
    byte[] answer = answer(MeasuringProcess.class, arguments(what), what.label(), limit);
    @SuppressWarnings("unchecked")
    Class<C> type = (Class<C>) what.getClass();
    return StrictJson.bind(StrictJson.readTree(answer, what.label()), type, what.label());
  }

  /** As {@link #planned} reads them. */
  static List<String> arguments(Benchmark.Case<?> what) {
    return List.of(what.getClass().getName(), StrictJson.tree(what).toString());
  }

  /** The case that the arguments of a fork describe. */
  static Benchmark.Case<?> planned(String[] arguments) throws ClassNotFoundException {
    var json = StrictJson.readTree(arguments[1].getBytes(StandardCharsets.UTF_8), "the case");
    return (Benchmark.Case<?>) StrictJson.bind(json, Class.forName(arguments[0]), "the case");
  }

  /**
   * Runs a class in a fork of this JVM. Behind its arguments comes the file that it writes, whose
   * content is returned.
   */
  static byte[] answer(Class<?> main, List<String> arguments, String what, Duration limit) {
    try (MeasuringProcess fork = start(main, arguments, Redirect.DISCARD)) {
      boolean inTime = fork.process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS);
      require(inTime, "%s: no result after %s", what, words(limit));
      fork.requireGoodEnd(what);
      return Files.readAllBytes(fork.folder.resolve(ANSWER));
    } catch (IOException e) {
      throw new PerformerException(what + ": cannot be measured: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("interrupted", e);
    }
  }

  /** Starts a class in a fork of this JVM, a file behind its arguments. */
  static MeasuringProcess start(Class<?> main, List<String> arguments, Redirect output)
      throws IOException {
    Path folder = Files.createTempDirectory("performer-measure");
    try {
      return new MeasuringProcess(folder, start(main, arguments, folder, output));
    } catch (IOException e) {
      AtomicFiles.discard(folder);
      throw e;
    }
  }

  /** Its standard streams. */
  Process process() {
    return process;
  }

  /** Waits for its end, and fails unless it is a good one. */
  void requireGoodEnd(String what) throws InterruptedException {
    int code = process.waitFor();
    // Ctrl-C ends both: the one that waits shall not go on to the next measurement.
    if (code != 0 && shutdown.await(1, TimeUnit.SECONDS)) {
      throw new InterruptedException();
    }
    require(code == 0, "%s: the measuring process ended with exit code %d", what, code);
  }

  private void shutDown() {
    shutdown.countDown();
    end();
  }

  @Override
  public void close() {
    end();
    if (shutdown.getCount() > 0) {
      Runtime.getRuntime().removeShutdownHook(hook);
    }
  }

  private static Process start(Class<?> main, List<String> arguments, Path folder, Redirect output)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // -Xrs: a signal ends the process at once. Java's own end of it runs the destructors of native
    // libraries while TensorFlow's threads still work, which now and then is a SIGSEGV.
    command.addAll(List.of("-Xrs", "-Xmx1g", "-XX:+UseSerialGC", "-Djava.io.tmpdir=" + folder));
    command.add(
        "-XX:ErrorFile=" + Path.of(System.getProperty("java.io.tmpdir"), "hs_err_pid%p.log"));
    command.add("-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");
    String tuning = System.getProperty(MachineTuning.PROPERTY);
    if (tuning != null) {
      command.add("-D" + MachineTuning.PROPERTY + "=" + tuning);
    }
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    command.addAll(arguments);
    command.add(folder.resolve(ANSWER).toString());
    var builder = new ProcessBuilder(command).redirectOutput(output);
    return builder.redirectError(Redirect.INHERIT).start();
  }

  private void end() {
    process.destroyForcibly();
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // its files may stay
    }
    AtomicFiles.discard(folder);
  }

  static String words(Duration limit) {
    return limit.toMillis() % 60_000 == 0
        ? limit.toMinutes() + " minutes"
        : limit.toMillis() / 1e3 + " seconds";
  }

  /** The fork. Arguments: a class of cases, one of it as JSON, the file of the result. */
  public static void main(String[] args) throws IOException, ClassNotFoundException {
    endWithParent();
    StrictJson.write(Path.of(args[2]), planned(args).measure());
  }

  /** Nothing is written to standard input: its end means that the parent is gone. */
  static void endWithParent() {
    Runnable waiting =
        () -> {
          try {
            System.in.transferTo(OutputStream.nullOutputStream());
          } catch (IOException e) {
            // As its end.
          }
          endAtOnce();
        };
    Thread watch = new Thread(waiting, "parent");
    watch.setDaemon(true);
    watch.start();
  }

  /** Not even Runtime.halt leaves the destructors of native libraries out; a signal does. */
  static void endAtOnce() {
    try {
      new ProcessBuilder("sh", "-c", "kill -9 " + ProcessHandle.current().pid()).start().waitFor();
    } catch (IOException | InterruptedException e) {
      // There is no shell: what follows is the next best.
    }
    Runtime.getRuntime().halt(1);
  }
}
