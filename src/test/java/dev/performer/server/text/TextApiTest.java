package dev.performer.server.text;

import static dev.performer.server.ServedLm.object;
import static java.util.stream.Collectors.joining;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.model.TextEmbedding.Pooling;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.EmbeddingSpec;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.TextGenerator.Generation;
import dev.performer.server.ServedLm;
import dev.performer.server.ServedLm.Answer;
import dev.performer.serving.Sampling;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TextApiTest {
  private static final String LM = "/v1/models/lm";
  private static final String SESSIONS = LM + "/sessions";

  @TempDir static Path folder;
  private static ServedLm server;

  @BeforeAll
  static void start() throws Exception {
    server = new ServedLm(folder);
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static List<Generation> generated(Sampling sampling, int tokens, String... prompts) {
    return server.generated(sampling, tokens, prompts);
  }

  @Test
  void generatesAsTheCommandLineDoes() {
    Sampling sampling = Sampling.DEFAULT.withSeed(11).withTopP(0.9).withRepetitionPenalty(1.5, 4);
    var expected = generated(sampling, 15, "MKT", "A");
    ObjectNode request = object("prompt", List.of("MKT", "A"), "seed", 11, "max_tokens", 15);
    request.put("top_p", 0.9).put("repetition_penalty", 1.5).put("repetition_window", 4);
    for (String path : List.of(LM, LM + "/versions/1")) {
      JsonNode answer = server.post(path + ":generate", request).json();
      assertThat(answer.path("version").asInt()).isEqualTo(1);
      for (int i = 0; i < 2; i++) {
        JsonNode result = answer.path("results").get(i);
        Generation own = expected.get(i);
        assertThat(result.path("text").asText()).isEqualTo(own.continuation());
        assertThat(result.path("tokens").toString())
            .isEqualTo(own.tokens().toString().replace(" ", ""));
        for (int t = 0; t < own.tokens().size(); t++) {
          assertThat(result.path("log_probabilities").get(t).asDouble())
              .isCloseTo(own.logProbabilities().get(t), within(1e-4));
        }
      }
    }
  }

  @Test
  void streamsTokensWithTheLikeliest() {
    ObjectNode request = object("prompt", "MKT", "greedy", true, "max_tokens", 10, "likeliest", 3);
    List<JsonNode> events = server.post(LM + ":generate", request.put("stream", true)).events();
    String expected = generated(Sampling.mostLikely(), 10, "MKT").get(0).continuation();
    assertThat(events.stream().map(event -> event.path("piece").asText()).collect(joining()))
        .isEqualTo(expected);
    JsonNode first = events.get(0);
    assertThat(first.path("likeliest")).hasSize(3);
    assertThat(first.at("/likeliest/0/id")).isEqualTo(first.path("id"));
    assertThat(first.path("token").asText()).isEqualTo(expected.substring(0, 1));
    JsonNode end = events.get(events.size() - 2);
    assertThat(end.path("text").asText()).isEqualTo(expected);
    assertThat(end.path("reason").asText()).isEqualTo("length");
    assertThat(events.get(events.size() - 1).path("seed").isIntegralNumber()).isTrue();
  }

  @Test
  void scoresAsTheScorerDoes() {
    JsonNode causal = server.ok(LM + ":score", "prompt", List.of("MKTAY", "GG"));
    JsonNode masked = server.ok("/v1/models/mlm:score", "prompt", "MKTAYIAK");
    try (Scorer scorer = Scorer.load(server.lm());
        Scorer other = Scorer.load(ServedLm.ENCODER)) {
      compare(causal.at("/results/0"), scorer.score("MKTAY"));
      compare(causal.at("/results/1"), scorer.score("GG"));
      compare(masked.at("/results/0"), other.score("MKTAYIAK"));
    }
    JsonNode ids = server.ok(LM + ":score", "prompt", List.of(10, 8, 16));
    JsonNode text = server.ok(LM + ":score", "prompt", "MKT");
    assertThat(ids.at("/results/0/log_probabilities/2").asDouble())
        .isCloseTo(text.at("/results/0/log_probabilities/2").asDouble(), within(1e-5));
  }

  private static void compare(JsonNode result, Scorer.Score score) {
    assertThat(result.path("log_probability").asDouble()).isCloseTo(score.sum(), within(1e-4));
    assertThat(result.path("perplexity").asDouble()).isCloseTo(score.perplexity(), within(1e-3));
    assertThat(result.path("counted").asInt()).isEqualTo(score.counted());
    assertThat(result.path("log_probabilities")).hasSize(score.tokens().length);
    assertThat(result.path("tokens")).hasSize(score.tokens().length);
  }

  @Test
  void embedsWithTheOptionsOfTheCommandLine() {
    Model model = Model.open(server.lm());
    var options = new EmbeddingSpec.Options("embeddings", Pooling.MAX, true);
    JsonNode answer =
        server.ok(
            LM + ":embed",
            "prompt",
            List.of("MKT", "ACDEF"),
            "pool",
            "max",
            "normalize",
            true,
            "output",
            "embeddings");
    try (Embedder embedder = Embedder.load(EmbeddingSpec.of(model, options, false))) {
      float[] expected = embedder.embed(List.of("MKT", "ACDEF")).get(1);
      assertThat(answer.path("embeddings").get(1)).hasSize(expected.length);
      for (int c = 0; c < expected.length; c++) {
        assertThat(answer.path("embeddings").get(1).get(c).floatValue())
            .isCloseTo(expected[c], within(1e-5f));
      }
    }
    JsonNode tokens =
        server.ok(
            LM + ":embed", "prompt", List.of("MKT", "A"), "pool", "none", "output", "embeddings");
    for (int i = 0; i < 2; i++) {
      assertThat(tokens.path("embeddings").get(i)).hasSize(tokens.path("tokens").get(i).asInt());
    }
  }

  @Test
  void aSessionGoesOnAsItsWholeText() {
    String id = server.ok(SESSIONS, "prompt", "MKTAY").path("id").asText();
    String path = SESSIONS + "/" + id;
    JsonNode more = server.ok(path + ":generate", "prompt", "IAK", "greedy", true, "max_tokens", 6);
    String first = generated(Sampling.mostLikely(), 6, "MKTAYIAK").get(0).continuation();
    assertThat(more.at("/results/0/text").asText()).isEqualTo(first);
    assertThat(more.at("/session/tokens").asInt()).isEqualTo(8 + 6);
    JsonNode fork = server.ok(path + ":fork");
    assertThat(fork.path("tokens").asInt()).isEqualTo(14);
    String next = generated(Sampling.mostLikely(), 4, "MKTAYIAK" + first).get(0).continuation();
    for (String one : List.of(id, fork.path("id").asText())) {
      JsonNode answer =
          server.ok(SESSIONS + "/" + one + ":generate", "greedy", true, "max_tokens", 4);
      assertThat(answer.at("/results/0/text").asText()).isEqualTo(next);
    }
    assertThat(server.get(SESSIONS).json().path("sessions"))
        .extracting(one -> one.path("id").asText())
        .contains(id, fork.path("id").asText());
    assertThat(server.delete(path).status()).isEqualTo(200);
    assertThat(server.get(path).status()).isEqualTo(404);
    assertThat(server.get(SESSIONS + "/" + fork.path("id").asText()).json().path("tokens").asInt())
        .isEqualTo(18);
  }

  @Test
  void aSavedSessionGoesOnAsItWouldHave() throws Exception {
    String id = server.ok(SESSIONS, "prompt", "MKTAYGGGS").path("id").asText();
    Answer file = server.get(SESSIONS + "/" + id + ":save");
    assertThat(file.status()).isEqualTo(200);
    JsonNode saved = server.ok(SESSIONS + "/" + id + ":save", "name", "mine");
    assertThat(saved.path("name").asText()).isEqualTo("mine");
    assertThat(Files.readAllBytes(folder.resolve("sessions/mine.session"))).isEqualTo(file.body());
    String expected = greedy(id);
    Answer uploaded = server.post(SESSIONS + ":load", "application/octet-stream", file.body());
    assertThat(uploaded.status()).isEqualTo(200);
    assertThat(greedy(uploaded.json().path("id").asText())).isEqualTo(expected);
    assertThat(greedy(server.ok(SESSIONS + ":load", "name", "mine").path("id").asText()))
        .isEqualTo(expected);
    byte[] cut = java.util.Arrays.copyOf(file.body(), file.body().length - 5);
    Answer broken = server.post(SESSIONS + ":load", "application/octet-stream", cut);
    assertThat(broken.status()).isEqualTo(400);
    assertThat(broken.json().path("error").isTextual()).isTrue();
  }

  private static String greedy(String id) {
    JsonNode answer = server.ok(SESSIONS + "/" + id + ":generate", "greedy", true, "max_tokens", 7);
    return answer.at("/results/0/text").asText();
  }

  @ParameterizedTest
  @ValueSource(strings = {"../mine", "a/b", "", ".", "a.b", "a\u0000", "C:\\x"})
  void namesOfSavedSessionsAreNoPaths(String name) {
    Answer answer = server.post(SESSIONS + ":load", object("name", name));
    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.json().path("error").asText()).contains("name");
  }

  @Test
  void whatIsNotThereIsNotFound() {
    for (String session : List.of("nothing", "nothing.1", "nothing.7", "1", ".1", "..")) {
      Answer answer = server.get(SESSIONS + "/" + session);
      assertThat(answer.status()).as(session).isEqualTo(404);
      assertThat(answer.json().path("error").isTextual()).isTrue();
    }
    assertThat(server.post(SESSIONS + ":load", object("name", "none")).status()).isEqualTo(404);
    var request = object("prompt", "M");
    assertThat(server.post("/v1/models/no:generate", request).status()).isEqualTo(404);
    assertThat(server.post(LM + "/versions/9:generate", request).status()).isEqualTo(404);
    assertThat(server.post(LM + "/versions/x:generate", request).status()).isEqualTo(400);
    assertThat(server.post("/v1/models/mlm:generate", request).status()).isEqualTo(400);
    assertThat(server.post("/v1/models/mlm/sessions", request).status()).isEqualTo(400);
  }

  @Test
  void namesLettersThatAreUnknownWhole() {
    String error =
        server.post(LM + ":generate", object("prompt", "M😀é")).json().path("error").asText();
    assertThat(error).contains("lacks: [😀, é];");
  }

  @Test
  void aClientThatLeavesEndsItsTexts() throws Exception {
    String body = object("prompt", "M", "max_tokens", 100_000, "stream", true).toString();
    var request = server.request(LM + ":generate").POST(BodyPublishers.ofString(body)).build();
    var stream = server.client().send(request, BodyHandlers.ofInputStream()).body();
    assertThat(stream.read()).isNotNegative();
    stream.close();
    // The place in the batch is free again: the next text, which would wait, ends.
    assertThat(server.ok(LM + ":generate", "prompt", "M", "max_tokens", 3).path("results"))
        .hasSize(1);
  }
}
