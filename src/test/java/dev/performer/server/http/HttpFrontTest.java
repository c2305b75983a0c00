package dev.performer.server.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class HttpFrontTest {
  private static final HttpOptions OPTIONS =
      new HttpOptions("127.0.0.1", 0, null, List.of(), List.of(), Limits.DEFAULT, null, line -> {});
  private static HttpFront front;
  private final HttpClient client = HttpClient.newHttpClient();

  /** Echoes bodies, and streams them word by word. */
  private static final class EchoApi implements Api {
    @Override
    public String name() {
      return "echo";
    }

    @Override
    public void mount(Routes routes) {
      routes.post("/v1/echo/{word}:twice", call -> call.respond(200, twice(call)));
      routes.post("/v1/stream", EchoApi::stream);
    }

    private static JsonNode twice(Call call) {
      return Json.object()
          .put("word", call.parameter("word") + call.query().getOrDefault("end", ""))
          .set("body", Json.array().add(call.json()).add(call.json()));
    }

    private static void stream(Call call) {
      try (EventStream events = call.stream()) {
        call.json().forEach(events::send);
        events.send("[DONE]");
      }
    }

    @Override
    public JsonNode error(Failure failure) {
      return Json.object().put("error", failure.message());
    }
  }

  @BeforeAll
  static void start() {
    var meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    front =
        HttpFront.start(
            HttpOptions.DEFAULT.withPort(0), List.of(new EchoApi()), meters, () -> true);
  }

  @AfterAll
  static void stop() {
    front.close();
  }

  private HttpResponse<String> post(String path, String body)
      throws IOException, InterruptedException {
    URI uri = URI.create("http://127.0.0.1:" + front.port() + path);
    var request = HttpRequest.newBuilder(uri).POST(BodyPublishers.ofString(body)).build();
    return client.send(request, BodyHandlers.ofString());
  }

  private HttpResponse<String> get(String path) throws IOException, InterruptedException {
    URI uri = URI.create("http://127.0.0.1:" + front.port() + path);
    return client.send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString());
  }

  @Test
  void answersWithWhatAPathAndABodyHold() throws Exception {
    var response = post("/v1/echo/a%20b:twice?end=%21", "{\"x\": [1, 2.5]}");
    assertThat(response.statusCode()).isEqualTo(200);
    assertThat(response.body())
        .isEqualTo("{\"word\":\"a b!\",\"body\":[{\"x\":[1,2.5]},{\"x\":[1,2.5]}]}");
  }

  @Test
  void streamsEvents() throws Exception {
    var response = post("/v1/stream", "[{\"a\":1},{\"a\":2}]");
    assertThat(response.headers().firstValue("Content-Type").orElseThrow())
        .startsWith("text/event-stream");
    assertThat(response.body()).isEqualTo("data: {\"a\":1}\n\ndata: {\"a\":2}\n\ndata: [DONE]\n\n");
  }

  @Test
  void refusesWhatIsNoJson() throws Exception {
    var broken =
        List.of(
            "",
            "{",
            "[1,}",
            "[tru]",
            "{\"a\":1,\"a\":2}",
            "[NaN]",
            "[1e]",
            "[01]",
            "1 2",
            "//x\n{}");
    var large = List.of("[".repeat(5000), "[" + "9".repeat(5000) + "]", "{\"a", "[\"\u0001\"]");
    for (String body : Stream.concat(broken.stream(), large.stream()).toList()) {
      var response = post("/v1/echo/a:twice", body);
      assertThat(response.statusCode()).as(body).isEqualTo(400);
      assertThat(response.body())
          .as(body)
          .startsWith("{\"error\":\"the request")
          .doesNotContain("\\n", "Source", "`", "fasterxml", "Feature", "start marker")
          .hasSizeLessThan(400);
    }
  }

  @Test
  void describesItsRoutes() throws Exception {
    var response = get("/openapi.json");
    JsonNode document = new ObjectMapper().readTree(response.body());
    assertThat(document.path("openapi").asText()).isEqualTo("3.1.0");
    List<String> described = new ArrayList<>();
    document
        .path("paths")
        .fields()
        .forEachRemaining(
            path ->
                path.getValue()
                    .fieldNames()
                    .forEachRemaining(method -> described.add(method + " " + path.getKey())));
    assertThat(described)
        .containsExactlyInAnyOrder(
            "get /health",
            "get /ready",
            "get /metrics",
            "get /openapi.json",
            "post /v1/echo/{word}:twice",
            "post /v1/stream");
    JsonNode twice = document.path("paths").path("/v1/echo/{word}:twice").path("post");
    assertThat(twice.path("parameters").toString())
        .isEqualTo(
            "[{\"name\":\"word\",\"in\":\"path\",\"schema\":{\"type\":\"string\"},\"required\":true}]");
    assertThat(document.at("/components/schemas/echo_error/properties/error/type").asText())
        .isEqualTo("string");
  }

  @Test
  void refusesUnknownPathsAndMethods() throws Exception {
    assertThat(post("/v1/ech", "{}").statusCode()).isEqualTo(404);
    var wrong = post("/health", "{}");
    assertThat(wrong.statusCode()).isEqualTo(405);
    assertThat(wrong.headers().firstValue("Allow")).contains("GET");
  }
}
