package dev.performer.study;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.training.run.AvailableMemory;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.net.ConnectException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A server in a process of its own, which ends with this one. */
final class ServerProcess implements AutoCloseable {
  /** Stands for the port in the arguments. */
  static final String PORT = "{port}";

  private static final Duration START = Duration.ofMinutes(2);

  private final Process process;
  private final Path log;
  private final URI address;

  private ServerProcess(Process process, Path log, URI address) {
    this.process = process;
    this.log = log;
    this.address = address;
  }

  /**
   * Starts one and waits until it is ready.
   *
   * @param serve its main class and arguments, of which one is {@link #PORT}
   */
  static ServerProcess start(List<String> serve, List<String> more, Path folder)
      throws IOException {
    int port = freePort();
    String number = Integer.toString(port);
    List<String> words = new ArrayList<>();
    serve.forEach(word -> words.add(word.equals(PORT) ? number : word));
    words.addAll(more);
    Path log = folder.resolve("server.log");
    var builder = fork(words).redirectErrorStream(true);
    Process process = builder.redirectOutput(log.toFile()).start();
    var server = new ServerProcess(process, log, URI.create("http://127.0.0.1:" + port));
    try {
      server.awaitReady();
      return server;
    } catch (IOException | RuntimeException e) {
      server.close();
      throw e;
    }
  }

  /** A process that ends with this one. @param words a main class and its arguments */
  static ProcessBuilder fork(List<String> words) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xrs", "-Xmx2g", "-XX:+UseSerialGC"));
    command.add("-Dorg.bytedeco.javacpp.maxPhysicalBytes=0");
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(ServerProcess.class.getName());
    command.addAll(words);
    return new ProcessBuilder(command);
  }

  private static int freePort() throws IOException {
    try (var socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  private void awaitReady() throws IOException {
    long end = System.nanoTime() + START.toNanos();
    HttpClient client = HttpClient.newHttpClient();
    HttpRequest ready = HttpRequest.newBuilder(address.resolve("/ready")).build();
    try {
      while (true) {
        String text = "the server did not start: %s";
        require(process.isAlive() && System.nanoTime() < end, text, Files.readString(log).strip());
        try {
          if (client.send(ready, HttpResponse.BodyHandlers.discarding()).statusCode() == 200) {
            return;
          }
        } catch (ConnectException e) {
          // Not yet.
        }
        process.waitFor(20, TimeUnit.MILLISECONDS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("interrupted", e);
    }
  }

  URI address() {
    return address;
  }

  /** Bytes of memory that it holds; 0 where the system does not show that. */
  long resident() {
    return AvailableMemory.resident(process.pid()).orElse(0);
  }

  @Override
  public void close() {
    process.destroyForcibly();
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    AtomicFiles.discard(log);
  }

  /** The fork: a main class and its arguments. */
  public static void main(String[] args) throws Throwable {
    MeasuringProcess.endWithParent();
    var main = Class.forName(args[0]).getMethod("main", String[].class);
    try {
      main.invoke(null, (Object) Arrays.copyOfRange(args, 1, args.length));
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
  }
}
