package dev.performer.study;

import static dev.performer.PerformerException.require;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntSupplier;
import java.util.stream.Stream;

/** Clients of a server, each with one request after the other. */
final class ServerLoad {
  private final HttpClient client =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
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
      throw interrupted(e);
    } finally {
      pool.shutdownNow();
    }
  }

  private static PerformerException interrupted(InterruptedException e) {
    Thread.currentThread().interrupt();
    return new PerformerException("interrupted", e);
  }

  /** The answer to a request. @throws PerformerException if it is no success */
  JsonNode post(String path, ObjectNode body) {
    byte[] answer = send(path, body, HttpResponse.BodyHandlers.ofByteArray()).body();
    return StrictJson.readTree(answer, path);
  }

  /** When each event of a stream came, in nanoseconds of this process; its end is none. */
  long[] events(String path, ObjectNode body) {
    try (Stream<String> lines = send(path, body, HttpResponse.BodyHandlers.ofLines()).body()) {
      List<Long> came = new ArrayList<>();
      for (Iterator<String> i = lines.iterator(); i.hasNext(); ) {
        String line = i.next();
        require(!line.contains("\"error\""), "%s: %s", path, line);
        if (line.startsWith("data:") && !line.endsWith("[DONE]")) {
          came.add(System.nanoTime());
        }
      }
      return came.stream().mapToLong(at -> at).toArray();
    }
  }

  private <T> HttpResponse<T> send(
      String path, ObjectNode body, HttpResponse.BodyHandler<T> handler) {
    var json = HttpRequest.BodyPublishers.ofString(body.toString(), UTF_8);
    HttpRequest request =
        HttpRequest.newBuilder(address.resolve(path))
            .header("Content-Type", "application/json")
            .POST(json)
            .build();
    try {
      HttpResponse<T> response = client.send(request, handler);
      String text = "%s: the server answered with status %d";
      require(response.statusCode() / 100 == 2, text, path, response.statusCode());
      return response;
    } catch (IOException e) {
      throw new PerformerException(path + ": " + e, e);
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }
}
