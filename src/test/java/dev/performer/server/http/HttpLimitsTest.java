package dev.performer.server.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Clients that take more than their share, over plain sockets. */
@Timeout(60)
class HttpLimitsTest {
  private static final Duration SHORT = Duration.ofMillis(200);

  private final CountDownLatch release = new CountDownLatch(1);
  private final CountDownLatch cancelled = new CountDownLatch(1);
  private final AtomicInteger running = new AtomicInteger();
  private final PrometheusMeterRegistry meters =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final List<String> log = new ArrayList<>();
  private HttpFront front;

  private final class Blocking implements Api {
    @Override
    public String name() {
      return "blocking";
    }

    @Override
    public void mount(Routes routes) {
      routes.post("/wait", this::await);
      routes.post("/later", call -> call.onCancel(cancelled::countDown));
      routes.post(
          "/size", call -> call.respond(200, Json.object().put("size", call.body().length)));
      routes.post(
          "/large",
          call -> {
            running.incrementAndGet();
            call.respond(200, "text/plain", new byte[64 << 20]);
          });
      routes.post("/flood", HttpLimitsTest.this::flood);
      routes.post("/tree", call -> call.respond(200, Json.object().put("n", call.json().size())));
      routes.post(
          "/broken",
          call -> {
            throw new IllegalStateException("secret");
          });
    }

    private void await(Call call) throws InterruptedException {
      running.incrementAndGet();
      call.onCancel(cancelled::countDown);
      release.await();
      call.respond(200, Json.object().put("waited", true));
    }

    @Override
    public JsonNode error(Failure failure) {
      return Json.object().put("error", failure.message());
    }
  }

  private void flood(Call call) throws InterruptedException {
    call.onCancel(cancelled::countDown);
    EventStream events = call.stream();
    while (!call.isCancelled()) {
      events.send("x".repeat(1 << 16));
    }
  }

  private void start(Limits limits) {
    var options =
        HttpOptions.DEFAULT.withPort(0).withLimits(limits).withLogs(null, line -> log.add(line));
    front = HttpFront.start(options, List.of(new Blocking()), meters, () -> true);
  }

  @AfterEach
  void stop() {
    release.countDown();
    if (front != null) {
      front.close();
    }
  }

  private Socket open(String text) throws IOException {
    Socket socket = new Socket("127.0.0.1", front.port());
    socket.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
    return socket;
  }

  private static String post(String path, String body) {
    String head = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s";
    return head.formatted(path, body.length(), body);
  }

  /** What comes until the server closes the connection. */
  private static String all(Socket socket) throws IOException {
    return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }

  /** A response's head and JSON object. */
  private static String response(Socket socket) throws IOException {
    InputStream in = socket.getInputStream();
    var text = new StringBuilder();
    for (int one = in.read(); one >= 0; one = in.read()) {
      text.append((char) one);
      if (one == '}') {
        return text.toString();
      }
    }
    return text.toString();
  }

  private String answer(String path, String body) throws IOException {
    try (Socket socket = open(post(path, body))) {
      return response(socket);
    }
  }

  @Test
  void closesConnectionsWithoutAWholeHead() throws IOException {
    start(Limits.DEFAULT.withIdle(SHORT, Duration.ofMinutes(1)));
    try (Socket silent = open("");
        Socket slow = open("POST /size HTTP/1.1\r\nHost: ");
        Socket again = open(post("/size", "abc"))) {
      assertThat(all(silent)).isEmpty();
      assertThat(all(slow)).isEmpty();
      assertThat(all(again)).endsWith("{\"size\":3}");
    }
  }

  @Test
  void closesConnectionsWhoseHeadTrickles() throws IOException {
    start(Limits.DEFAULT.withIdle(SHORT, Duration.ofMinutes(1)));
    try (Socket slow = open("GET /health HTTP/1.1\r\n")) {
      OutputStream out = slow.getOutputStream();
      var closed = new AtomicBoolean();
      try {
        while (slow.getInputStream().available() == 0 && !closed.get()) {
          out.write("X: y\r\n".getBytes(StandardCharsets.UTF_8));
          out.flush();
          Thread.onSpinWait();
        }
      } catch (IOException e) {
        closed.set(true);
      }
      // Either it is closed for its time, or its head has become too long.
      assertThat(closed.get() || all(slow).startsWith("HTTP/1.1 431")).isTrue();
    }
  }

  @Test
  void refusesSlowBodies() throws IOException {
    start(Limits.DEFAULT.withIdle(Duration.ofMinutes(1), SHORT));
    try (Socket slow = open("POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")) {
      assertThat(response(slow)).startsWith("HTTP/1.1 408").contains("{\"error\":");
      assertThat(all(slow)).isEmpty();
    }
  }

  @Test
  void refusesLargeBodies() throws IOException {
    start(Limits.DEFAULT.withSizes(10, 10));
    assertThat(answer("/size", "0123456789")).endsWith("{\"size\":10}");
    assertThat(answer("/size", "0123456789a")).startsWith("HTTP/1.1 413");
    String chunks = "POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    String chunk = "6\r\nabcdef\r\n";
    try (Socket socket = open(chunks + chunk + chunk + "0\r\n\r\n")) {
      assertThat(response(socket)).startsWith("HTTP/1.1 413");
    }
    String huge = "POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n";
    try (Socket socket = open(huge)) {
      assertThat(response(socket)).startsWith("HTTP/1.1 413");
    }
  }

  @Test
  void aClientThatSendsAllFirstSeesWhyItsBodyIsRefused() throws IOException {
    start(Limits.DEFAULT.withSizes(10, 10));
    try (Socket socket = open(post("/size", "x".repeat(8 << 20)))) {
      assertThat(response(socket)).startsWith("HTTP/1.1 413");
      socket.getOutputStream().write(post("/size", "abc").getBytes(StandardCharsets.UTF_8));
      assertThat(response(socket)).endsWith("{\"size\":3}");
    }
  }

  @Test
  void refusesWhatIsNoHttp() throws IOException {
    start(Limits.DEFAULT);
    String head = "GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n";
    try (Socket garbage = open("garbage\r\n\r\n");
        Socket line = open(head.formatted("a".repeat(10_000), ""));
        Socket headers = open(head.formatted("", "X: " + "a".repeat(20_000) + "\r\n"));
        Socket zip = open(post("/size", "").replace("Host", "Content-Encoding: gzip\r\nHost"))) {
      assertThat(all(garbage)).contains(" 400 ", "{\"error\":");
      assertThat(all(line)).contains(" 414 ");
      assertThat(all(headers)).contains(" 431 ");
      assertThat(response(zip)).startsWith("HTTP/1.1 415");
    }
  }

  @Test
  void refusesMoreThanItsQueueHolds() throws Exception {
    start(Limits.DEFAULT.withRequests(1, 1));
    try (Socket one = open(post("/wait", ""));
        Socket two = open(post("/wait", ""))) {
      while (meters.get("performer.http.queue").gauge().value() < 1) {
        Thread.onSpinWait();
      }
      assertThat(answer("/wait", "")).startsWith("HTTP/1.1 429").contains("Retry-After: ");
      try (Socket health = open("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")) {
        assertThat(response(health)).startsWith("HTTP/1.1 200");
      }
      release.countDown();
      assertThat(response(one)).endsWith("{\"waited\":true}");
      assertThat(response(two)).endsWith("{\"waited\":true}");
    }
    assertThat(answer("/size", "")).startsWith("HTTP/1.1 200");
  }

  @Test
  void closesConnectionsAboveItsNumber() throws IOException {
    start(Limits.DEFAULT.withConnections(2));
    try (Socket one = open(post("/size", ""));
        Socket two = open(post("/size", ""))) {
      response(one);
      response(two);
      try (Socket three = open("")) {
        assertThat(all(three)).isEmpty();
      }
    }
  }

  @Test
  void cancelsACallWhoseClientLeaves() throws Exception {
    start(Limits.DEFAULT);
    try (Socket socket = open(post("/wait", ""))) {
      while (running.get() == 0) {
        Thread.onSpinWait();
      }
    }
    assertThat(cancelled.await(30, TimeUnit.SECONDS)).isTrue();
  }

  @Test
  void givesUpAfterTheDeadline() throws Exception {
    start(Limits.DEFAULT.withDeadline(SHORT));
    for (String path : List.of("/wait", "/later")) {
      assertThat(answer(path, "")).startsWith("HTTP/1.1 504").contains("{\"error\":\"the request");
      assertThat(cancelled.await(30, TimeUnit.SECONDS)).isTrue();
    }
  }

  @Test
  void dropsAClientThatReadsNoEvents() throws Exception {
    start(Limits.DEFAULT);
    try (Socket socket = open(post("/flood", ""))) {
      assertThat(cancelled.await(30, TimeUnit.SECONDS)).isTrue();
    }
  }

  @Test
  void dropsAClientThatReadsNoResponse() throws Exception {
    start(Limits.DEFAULT.withDeadline(SHORT));
    try (Socket socket = open(post("/large", ""))) {
      while (running.get() == 0) {
        Thread.onSpinWait();
      }
      assertThat(front.drain(Duration.ofSeconds(30))).isTrue();
      while (meters.get("performer.http.connections").gauge().value() > 0) {
        Thread.onSpinWait();
      }
    }
  }

  @Test
  void treesHaveAShareOfTheMemory() {
    var memory = new TreeMemory(10_000);
    byte[] small = "{\"a\":[1,2]}".getBytes(StandardCharsets.UTF_8);
    try (var one = memory.share();
        var two = memory.share()) {
      int count = 0;
      while (refusal(one, small) == 0) {
        count++;
      }
      assertThat(count).isBetween(5, 40);
      assertThat(refusal(two, small)).isEqualTo(429);
      assertThat(refusal(two, "[".repeat(100).getBytes(StandardCharsets.UTF_8))).isEqualTo(413);
    }
    try (var three = memory.share()) {
      assertThat(refusal(three, small)).isZero();
    }
  }

  private static int refusal(TreeMemory.Share share, byte[] json) {
    try {
      share.take(json);
      return 0;
    } catch (Refusal e) {
      return e.status();
    }
  }

  @Test
  void tellsAClientNothingOfItsOwnFailures() throws IOException {
    start(Limits.DEFAULT);
    assertThat(answer("/broken", "")).startsWith("HTTP/1.1 500").doesNotContain("secret");
    assertThat(log.toString()).contains("secret");
  }

  @Test
  void letsRunningCallsEnd() throws Exception {
    start(Limits.DEFAULT);
    try (Socket socket = open(post("/wait", ""))) {
      while (running.get() == 0) {
        Thread.onSpinWait();
      }
      assertThat(front.drain(Duration.ofMillis(1))).isFalse();
      assertThat(answer("/size", "")).startsWith("HTTP/1.1 503");
      try (Socket ready = open("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")) {
        assertThat(response(ready)).startsWith("HTTP/1.1 503");
      }
      release.countDown();
      assertThat(front.drain(Duration.ofSeconds(30))).isTrue();
      assertThat(response(socket)).endsWith("{\"waited\":true}");
    }
  }

  @Test
  void aFloodOfConnectionsLeavesNothingBehind() throws Exception {
    start(Limits.DEFAULT.withRequests(4, 8));
    var statuses = new ConcurrentHashMap<String, Integer>();
    List<Thread> clients = new ArrayList<>();
    for (int i = 0; i < 32; i++) {
      clients.add(
          new Thread(
              () -> {
                for (int k = 0; k < 20; k++) {
                  try {
                    String head = answer("/tree", "[1,2,3]").substring(9, 12);
                    statuses.merge(head, 1, Integer::sum);
                  } catch (IOException e) {
                    statuses.merge(e.toString(), 1, Integer::sum);
                  }
                }
              }));
    }
    clients.forEach(Thread::start);
    for (Thread client : clients) {
      client.join();
    }
    assertThat(statuses.keySet()).isSubsetOf("200", "429");
    assertThat(front.drain(Duration.ofSeconds(30))).isTrue();
    while (meters.get("performer.http.connections").gauge().value() > 0) {
      Thread.onSpinWait();
    }
  }
}
