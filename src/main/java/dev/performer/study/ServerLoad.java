package dev.performer.study;

import static dev.performer.PerformerException.require;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntSupplier;

/** Clients of a server, each with one request after the other. */
final class ServerLoad {
  private final URI address;

  ServerLoad(URI address) {
    this.address = address;
  }

  /** What clients saw: all that was counted in so many seconds, and what a request took. */
  record Seen(long counted, double seconds, double[] milliseconds) {
    double perSecond() {
      return counted / seconds;
    }

    /** What so large a part of all requests does not exceed, in milliseconds. */
    double quantile(double part) {
      double[] sorted = milliseconds.clone();
      Arrays.sort(sorted);
      return sorted[(int) Math.min(sorted.length - 1, part * sorted.length)];
    }
  }

  /**
   * Lets clients ask for some time, those under way at its end to their ends.
   *
   * @param request one request; what it gives is counted
   */
  static Seen run(int clients, double seconds, IntSupplier request) {
    System.setProperty("http.maxConnections", Integer.toString(clients)); // that stay open
    var pool = Executors.newFixedThreadPool(clients);
    try {
      long start = System.nanoTime();
      long end = start + (long) (1e9 * seconds);
      record One(long counted, List<Double> times) {}
      List<Future<One>> running = new ArrayList<>();
      for (int i = 0; i < clients; i++) {
        running.add(
            pool.submit(
                () -> {
                  long counted = 0;
                  List<Double> times = new ArrayList<>();
                  while (System.nanoTime() < end) {
                    long before = System.nanoTime();
                    counted += request.getAsInt();
                    times.add((System.nanoTime() - before) / 1e6);
                  }
                  return new One(counted, times);
                }));
      }
      long counted = 0;
      List<Double> times = new ArrayList<>();
      for (Future<One> one : running) {
        counted += one.get().counted;
        times.addAll(one.get().times);
      }
      double took = (System.nanoTime() - start) / 1e9;
      return new Seen(counted, took, times.stream().mapToDouble(ms -> ms).toArray());
    } catch (ExecutionException e) {
      throw e.getCause() instanceof PerformerException own
          ? own
          : new PerformerException("a client failed: " + e.getCause(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("interrupted", e);
    } finally {
      pool.shutdownNow();
    }
  }

  /** The answer to a request. @throws PerformerException if it is no success */
  JsonNode post(String path, ObjectNode body) {
    return send(path, body, answer -> StrictJson.readTree(answer.readAllBytes(), path));
  }

  /** When each event of a stream came, in nanoseconds of this process; its end is none. */
  long[] events(String path, ObjectNode body) {
    return send(path, body, answer -> times(path, answer));
  }

  private static long[] times(String path, InputStream answer) throws IOException {
    List<Long> came = new ArrayList<>();
    var lines = new BufferedReader(new InputStreamReader(answer, UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      require(!line.contains("\"error\""), "%s: %s", path, line);
      if (line.startsWith("data:") && !line.endsWith("[DONE]")) {
        came.add(System.nanoTime());
      }
    }
    return came.stream().mapToLong(at -> at).toArray();
  }

  private interface Reader<T> {
    T read(InputStream answer) throws IOException;
  }

  /** By the JDK's blocking client, which takes the least of the cores that the server runs on. */
  private <T> T send(String path, ObjectNode body, Reader<T> reader) {
    byte[] json = body.toString().getBytes(UTF_8);
    try {
      var connection = (HttpURLConnection) address.resolve(path).toURL().openConnection();
      connection.setDoOutput(true);
      connection.setFixedLengthStreamingMode(json.length);
      connection.setRequestProperty("Content-Type", "application/json");
      try (OutputStream out = connection.getOutputStream()) {
        out.write(json);
      }
      int status = connection.getResponseCode();
      require(status / 100 == 2, "%s: the server answered with status %d", path, status);
      try (InputStream answer = connection.getInputStream()) {
        return reader.read(answer);
      }
    } catch (IOException e) {
      throw new PerformerException(path + ": " + e, e);
    }
  }
}
