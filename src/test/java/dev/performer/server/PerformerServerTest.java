package dev.performer.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** All APIs on one model. */
class PerformerServerTest {
  private static final String MODEL = "savedmodels/protein-mlm/saved_model";
  private static PerformerServer server;
  private final HttpClient client = HttpClient.newHttpClient();

  @BeforeAll
  static void start() {
    var options = ServerOptions.DEFAULT.withModels("protein=" + MODEL).withGrpcPort(null);
    server = PerformerServer.start(options.withHttp(options.http().withPort(0)));
    server.awaitLoaded();
  }

  @AfterAll
  static void stop() {
    assertThat(server.drain(Duration.ofSeconds(30))).isTrue();
    server.close();
  }

  private HttpResponse<String> call(HttpRequest.Builder request)
      throws IOException, InterruptedException {
    return client.send(request.build(), BodyHandlers.ofString(StandardCharsets.UTF_8));
  }

  private static HttpRequest.Builder to(String path) {
    return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + path));
  }

  private JsonNode get(String path) throws Exception {
    var response = call(to(path));
    assertThat(response.statusCode()).as(path).isEqualTo(200);
    return new ObjectMapper().readTree(response.body());
  }

  @Test
  void thePageLoadsNothingFromElsewhere() throws Exception {
    for (String path : List.of("/", "/page.js", "/page.css")) {
      var response = call(to(path));
      assertThat(response.statusCode()).isEqualTo(200);
      String policy = response.headers().firstValue("Content-Security-Policy").orElseThrow();
      assertThat(policy).contains("default-src 'none'").doesNotContain("unsafe");
      String body = response.body().replace("http://www.w3.org/2000/svg", "");
      assertThat(body).doesNotContain("http://", "https://", "style=", "onclick");
    }
  }

  @Test
  void aCardShowsWhatAModelCanDo() throws Exception {
    JsonNode card = get("/v1/models/protein/card");
    assertThat(card.path("scores").asBoolean()).isTrue();
    assertThat(card.path("generates").asBoolean()).isFalse();
    assertThat(card.has("attention")).isFalse();
    assertThat(card.at("/card/languageModel/objective").asText()).isEqualTo("masked-lm");
    assertThat(card.at("/card/vocabulary").has("tokens")).isFalse();
    assertThat(card.at("/signatures/serving_default/inputs/tokens").asText()).startsWith("int");
  }

  @Test
  void allRoutesAreDescribed() throws Exception {
    JsonNode document = get("/openapi.json");
    for (Map.Entry<String, JsonNode> path : document.path("paths").properties()) {
      for (Map.Entry<String, JsonNode> method : path.getValue().properties()) {
        String name = method.getKey() + " " + path.getKey();
        assertThat(method.getValue().path("summary").asText()).as(name).isNotEmpty();
        // A route that is described is there: it takes the method, whatever it says to no model.
        String concrete = path.getKey().replaceAll("\\{[a-z]+}", "nothing");
        var request = to(concrete).method(method.getKey().toUpperCase(), BodyPublishers.noBody());
        var response = call(request);
        assertThat(response.statusCode()).as(name).isNotEqualTo(405).isLessThan(500);
        assertThat(response.body()).as(name).doesNotContain("no such path");
      }
    }
    assertThat(document.path("paths").has("/v1/models/{model}:predict")).isTrue();
    assertThat(document.path("paths").has("/v1/completions")).isTrue();
  }

  @Test
  void sessionsAreNotSavedInAFile() {
    Path file = Path.of("pom.xml");
    assertThatThrownBy(() -> ServerOptions.DEFAULT.withSessionFolder(file))
        .hasMessage("pom.xml is a file; sessions are saved in a folder");
    assertThat(ServerOptions.DEFAULT.withSessionFolder(null).sessionFolder()).isNull();
  }

  @Test
  void errorsHaveTheShapeOfTheNearestApi() throws Exception {
    var mapper = new ObjectMapper();
    for (String path : List.of("/v1/models/nothing/x/y", "/nothing", "/v1/models/protein:x")) {
      var response = call(to(path));
      assertThat(response.statusCode()).isEqualTo(404);
      assertThat(mapper.readTree(response.body()).path("error").isTextual()).as(path).isTrue();
    }
    for (String path : List.of("/v1/responses", "/v1/audio/speech", "/v1/files/1/content")) {
      JsonNode error = mapper.readTree(call(to(path)).body()).path("error");
      assertThat(error.path("message").asText()).as(path).contains("no such path");
    }
    for (String path : List.of("/v1/completions", "/v1/embeddings", "/v1/chat/completions")) {
      var response = call(to(path).POST(BodyPublishers.ofString("{")));
      assertThat(response.statusCode()).isEqualTo(400);
      JsonNode error = mapper.readTree(response.body()).path("error");
      assertThat(error.path("message").asText()).as(path).contains("JSON");
      assertThat(call(to(path)).statusCode()).isEqualTo(405);
    }
  }

  @Test
  void noErrorShowsWhereAModelLies() throws Exception {
    String wrong = "{\"instances\": [[\"a\", 1]]}";
    for (String body : List.of(wrong, "{\"inputs\": {\"x\": 1}}", "{\"prompt\": \"MKT\"}")) {
      for (String verb : List.of("predict", "generate")) {
        var response = call(to("/v1/models/protein:" + verb).POST(BodyPublishers.ofString(body)));
        assertThat(response.statusCode()).isEqualTo(400);
        assertThat(response.body()).doesNotContain("saved_model", "dev.performer", "java.");
      }
    }
  }

  @Test
  void pathsReachNoFiles() throws Exception {
    for (String path :
        List.of(
            "/../pom.xml", "/page.js/../../pom.xml", "/v1/models/..%2f..%2fpom.xml", "//pom.xml")) {
      try (Socket socket = new Socket("127.0.0.1", server.port())) {
        String request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        socket.getOutputStream().write(request.getBytes(StandardCharsets.UTF_8));
        String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(answer).as(path).startsWith("HTTP/1.1 404").doesNotContain("<project");
      }
    }
  }

  @Test
  void figuresCoverModelsAndTheProcess() throws Exception {
    String tokens = "{\"instances\": [" + List.of(5, 6, 7, 8) + "]}";
    var response = call(to("/v1/models/protein:predict").POST(BodyPublishers.ofString(tokens)));
    assertThat(response.statusCode()).as(response.body()).isEqualTo(200);
    String figures = call(to("/metrics")).body();
    assertThat(figures)
        .contains(
            "performer_predict_calls_total{model=\"protein\",version=\"1\"} ",
            "performer_requests_seconds_count{api=",
            "process_resident_memory_bytes ",
            "jvm_memory_used_bytes{");
  }
}
