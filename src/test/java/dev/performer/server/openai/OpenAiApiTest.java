package dev.performer.server.openai;

import static dev.performer.server.ServedLm.object;
import static java.util.stream.Collectors.joining;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.TextGenerator.Generation;
import dev.performer.server.ServedLm;
import dev.performer.serving.Sampling;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OpenAiApiTest {
  private static final String COMPLETIONS = "/v1/completions";
  private static final String CHAT = "/v1/chat/completions";
  private static final String EMBEDDINGS = "/v1/embeddings";
  private static final List<Map<String, String>> MESSAGES =
      List.of(
          Map.of("role", "system", "content", "MK"), Map.of("role", "user", "content", " TAY\n"));

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

  private static List<String> texts(JsonNode answer) {
    return StreamSupport.stream(answer.path("choices").spliterator(), false)
        .map(choice -> choice.path("text").textValue())
        .toList();
  }

  @Test
  void choicesAreTheRowsOfASeed() {
    Sampling sampling =
        Sampling.DEFAULT.withSeed(7).withTemperature(0.8).withTopK(9).withRepetitionPenalty(1.3, 0);
    ObjectNode request =
        object("model", "lm", "prompt", "MKT", "n", 3, "max_tokens", 25, "seed", 7);
    request.put("temperature", 0.8).put("top_k", 9).put("repetition_penalty", 1.3);
    JsonNode answer = server.post(COMPLETIONS, request).json();
    var expected = generated(sampling, 25, "MKT", "MKT", "MKT");
    assertThat(texts(answer)).isEqualTo(expected.stream().map(Generation::continuation).toList());
    int tokens = expected.stream().mapToInt(one -> one.tokens().size()).sum();
    JsonNode usage = answer.path("usage");
    assertThat(usage.path("prompt_tokens").asInt()).isEqualTo(3);
    assertThat(usage.path("completion_tokens").asInt()).isEqualTo(tokens);
    assertThat(usage.path("total_tokens").asInt()).isEqualTo(3 + tokens);
    assertThat(answer.path("object").asText()).isEqualTo("text_completion");
    assertThat(answer.path("id").asText()).startsWith("cmpl-");
  }

  @Test
  void aStreamIsTheSameTextInPieces() {
    ObjectNode request = object("model", "lm", "prompt", List.of("MKT", "GGA"), "seed", 3);
    request.put("max_tokens", 20).put("stream", true).put("temperature", 0.9);
    request.putObject("stream_options").put("include_usage", true);
    List<JsonNode> events = server.post(COMPLETIONS, request).events();
    var expected = generated(Sampling.DEFAULT.withSeed(3).withTemperature(0.9), 20, "MKT", "GGA");
    for (int i = 0; i < 2; i++) {
      int index = i;
      var own =
          events.stream()
              .map(event -> event.at("/choices/0"))
              .filter(choice -> choice.path("index").asInt(-1) == index)
              .toList();
      assertThat(own.stream().map(choice -> choice.path("text").asText()).collect(joining()))
          .isEqualTo(expected.get(i).continuation());
      assertThat(own).hasSize(expected.get(i).tokens().size() + 1);
      assertThat(own.get(own.size() - 1).path("finish_reason").asText())
          .isEqualTo(expected.get(i).ended() ? "stop" : "length");
      assertThat(own.subList(0, own.size() - 1))
          .allMatch(choice -> choice.path("finish_reason").isNull());
    }
    JsonNode last = events.get(events.size() - 1);
    assertThat(last.path("choices")).isEmpty();
    assertThat(last.at("/usage/prompt_tokens").asInt()).isEqualTo(6);
    assertThat(events.stream().map(event -> event.path("id")).distinct()).hasSize(1);
  }

  @Test
  void withoutASeedTextsDiffer() {
    List<String> all = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      all.addAll(texts(server.ok(COMPLETIONS, "model", "lm", "prompt", "MKT", "n", 2)));
    }
    assertThat(all).doesNotHaveDuplicates().allMatch(text -> text.length() <= 16);
  }

  @Test
  void idsAreAPromptAsTheirTextIs() {
    var ids = List.of(10, 8, 16);
    JsonNode text = server.ok(COMPLETIONS, "model", "lm", "prompt", "MKT", "seed", 1, "echo", true);
    JsonNode one = server.ok(COMPLETIONS, "model", "lm", "prompt", ids, "seed", 1, "echo", true);
    JsonNode list =
        server.ok(COMPLETIONS, "model", "lm", "prompt", List.of(ids), "seed", 1, "echo", true);
    assertThat(texts(one)).isEqualTo(texts(text)).isEqualTo(texts(list));
    assertThat(texts(one).get(0)).startsWith("MKT");
  }

  @Test
  void aStopEndsATextAndIsNotPartOfIt() {
    String whole = generated(Sampling.DEFAULT.withSeed(5), 30, "MKT").get(0).continuation();
    String stop = whole.substring(10, 12);
    String expected = whole.substring(0, whole.indexOf(stop));
    ObjectNode request = object("model", "lm", "prompt", "MKT", "seed", 5, "max_tokens", 30);
    request.set("stop", StrictJson.tree(List.of("??", stop)));
    JsonNode answer = server.post(COMPLETIONS, request).json();
    assertThat(texts(answer)).containsExactly(expected);
    assertThat(answer.at("/choices/0/finish_reason").asText()).isEqualTo("stop");
    List<JsonNode> events = server.post(COMPLETIONS, request.put("stream", true)).events();
    assertThat(
            events.stream().map(event -> event.at("/choices/0/text").asText()).collect(joining()))
        .isEqualTo(expected);
  }

  @Test
  void anEchoHasTheLogProbabilitiesOfItsPrompt() {
    JsonNode answer =
        server.ok(
            COMPLETIONS,
            "model",
            "lm",
            "prompt",
            "MKTAY",
            "echo",
            true,
            "max_tokens",
            0,
            "logprobs",
            2);
    assertThat(texts(answer)).containsExactly("MKTAY");
    JsonNode logs = answer.at("/choices/0/logprobs");
    assertThat(logs.path("tokens").toString()).isEqualTo("[\"M\",\"K\",\"T\",\"A\",\"Y\"]");
    assertThat(logs.path("text_offset").toString()).isEqualTo("[0,1,2,3,4]");
    try (Scorer scorer = Scorer.load(server.lm())) {
      double[] scores = scorer.score("MKTAY").tokens();
      for (int i = 0; i < 5; i++) {
        assertThat(logs.path("token_logprobs").get(i).asDouble())
            .isCloseTo(scores[i], within(1e-4));
        JsonNode likeliest = logs.path("top_logprobs").get(i);
        assertThat(likeliest.size()).isBetween(2, 3);
        assertThat(likeliest.has(logs.path("tokens").get(i).asText())).isTrue();
      }
    }
  }

  @Test
  void logProbabilitiesAreTheModels() {
    JsonNode answer =
        server.ok(
            COMPLETIONS,
            "model",
            "lm",
            "prompt",
            "MKT",
            "seed",
            2,
            "max_tokens",
            8,
            "logprobs",
            3,
            "temperature",
            0.5);
    JsonNode logs = answer.at("/choices/0/logprobs");
    String text = texts(answer).get(0);
    try (Scorer scorer = Scorer.load(server.lm())) {
      double[] scores = scorer.score("MKT" + text).tokens();
      for (int i = 0; i < text.length(); i++) {
        double own = logs.path("token_logprobs").get(i).asDouble();
        assertThat(own).isCloseTo(scores[3 + i], within(1e-4));
        List<Double> all = new ArrayList<>();
        logs.path("top_logprobs").get(i).forEach(one -> all.add(one.asDouble()));
        assertThat(all.subList(0, 3)).isSortedAccordingTo(Collections.reverseOrder());
        assertThat(all).contains(own);
      }
    }
  }

  @Test
  void theBestAreTheLikeliest() {
    ObjectNode request = object("model", "lm", "prompt", "MKT", "seed", 4, "max_tokens", 6);
    request.put("logprobs", 0);
    JsonNode all = server.post(COMPLETIONS, request.deepCopy().put("n", 5)).json();
    JsonNode best = server.post(COMPLETIONS, request.put("best_of", 5).put("n", 2)).json();
    List<JsonNode> sorted = new ArrayList<>();
    all.path("choices").forEach(sorted::add);
    sorted.sort((one, two) -> Double.compare(mean(two), mean(one)));
    assertThat(texts(best))
        .containsExactly(sorted.get(0).path("text").asText(), sorted.get(1).path("text").asText());
    assertThat(best.at("/choices/1/index").asInt()).isEqualTo(1);
    assertThat(best.at("/usage/completion_tokens")).isEqualTo(all.at("/usage/completion_tokens"));
  }

  private static double mean(JsonNode choice) {
    double sum = 0;
    JsonNode all = choice.at("/logprobs/token_logprobs");
    for (JsonNode one : all) {
      sum += one.asDouble();
    }
    return sum / all.size();
  }

  @Test
  void aBiasForbidsAndForces() {
    var request =
        object("model", "lm", "prompt", "MKT", "max_tokens", 6, "logit_bias", Map.of("6", 100));
    assertThat(texts(server.post(COMPLETIONS, request).json())).containsExactly("HHHHHH");
    request.put("temperature", 0).putObject("logit_bias").put("6", 100).put("7", 99.5);
    request.put("frequency_penalty", 1);
    String both = texts(server.post(COMPLETIONS, request).json()).get(0);
    assertThat(both).matches("[HI]{6}").contains("HIHI");
  }

  @Test
  void aChatIsACompletionOfItsTemplate() {
    JsonNode text =
        server.ok(COMPLETIONS, "model", "lm", "prompt", "MKTAY", "seed", 1, "max_tokens", 12);
    ObjectNode request = object("model", "chat", "messages", MESSAGES, "seed", 1);
    request.put("max_completion_tokens", 12).put("logprobs", true).put("top_logprobs", 2);
    JsonNode answer = server.post(CHAT, request).json();
    assertThat(answer.path("object").asText()).isEqualTo("chat.completion");
    assertThat(answer.at("/choices/0/message/role").asText()).isEqualTo("assistant");
    String content = answer.at("/choices/0/message/content").asText();
    assertThat(content).isEqualTo(texts(text).get(0)).hasSize(12);
    assertThat(answer.at("/choices/0/logprobs/content")).hasSize(12);
    assertThat(answer.at("/choices/0/logprobs/content/3/token").asText())
        .isEqualTo(content.substring(3, 4));
    assertThat(answer.at("/choices/0/logprobs/content/3/top_logprobs")).hasSize(2);
    List<JsonNode> events = server.post(CHAT, request.put("stream", true)).events();
    assertThat(events.get(0).at("/choices/0/delta/role").asText()).isEqualTo("assistant");
    assertThat(events).allMatch(e -> e.path("object").asText().equals("chat.completion.chunk"));
    assertThat(
            events.stream().map(e -> e.at("/choices/0/delta/content").asText()).collect(joining()))
        .isEqualTo(content);
  }

  @Test
  void embeddingsAreTheEmbedders() {
    var texts = List.of("MKT", "ACDEFGHIKL");
    JsonNode answer = server.ok(EMBEDDINGS, "model", "mlm", "input", texts);
    JsonNode coded =
        server.ok(EMBEDDINGS, "model", "mlm", "input", texts, "encoding_format", "base64");
    try (Embedder embedder = Embedder.load(ServedLm.ENCODER)) {
      List<float[]> expected = embedder.embed(texts);
      for (int i = 0; i < 2; i++) {
        byte[] bytes = Base64.getDecoder().decode(coded.at("/data/" + i + "/embedding").asText());
        var floats = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        float[] vector = expected.get(i);
        JsonNode numbers = answer.at("/data/" + i + "/embedding");
        assertThat(floats.remaining()).isEqualTo(vector.length).isEqualTo(numbers.size());
        for (int c = 0; c < vector.length; c++) {
          assertThat(floats.get(c)).isEqualTo(numbers.get(c).floatValue());
          assertThat(numbers.get(c).floatValue()).isCloseTo(vector[c], within(1e-5f));
        }
      }
      int tokens = embedder.input().encode(texts).ids().stream().mapToInt(ids -> ids.length).sum();
      assertThat(answer.at("/usage/prompt_tokens").asInt()).isEqualTo(tokens);
      List<int[]> ids = embedder.input().encode(List.of("MKT")).ids();
      JsonNode ofIds = server.ok(EMBEDDINGS, "model", "mlm", "input", ids.get(0));
      assertThat(ofIds.at("/data/0/embedding/5").asDouble())
          .isCloseTo(answer.at("/data/0/embedding/5").asDouble(), within(1e-5));
    }
  }

  @Test
  void listsItsModels() {
    JsonNode list = server.get("/v1/models").json();
    assertThat(list.path("object").asText()).isEqualTo("list");
    assertThat(list.path("data"))
        .extracting(one -> one.path("id").asText())
        .containsExactly("chat", "lm", "mlm");
    assertThat(list.path("data")).allMatch(one -> one.path("created").asLong() > 1_500_000_000);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "prompt|5|prompt|invalid_type",
        "prompt|[]|prompt|invalid_value",
        "prompt|[\"A\",5]|prompt[1]|invalid_type",
        "prompt|[[10],[-1]]|prompt[1][0]|integer_below_min_value",
        "prompt|null|prompt|missing_required_parameter",
        "model|null|model|missing_required_parameter",
        "model|5|model|invalid_type",
        "max_tokens|\"2\"|max_tokens|invalid_type",
        "max_tokens|1.5|max_tokens|invalid_type",
        "max_tokens|-1|max_tokens|integer_below_min_value",
        "max_tokens|9223372036854775808|max_tokens|integer_above_max_value",
        "temperature|3|temperature|decimal_above_max_value",
        "temperature|1e400|temperature|decimal_above_max_value",
        "top_p|-0.1|top_p|decimal_below_min_value",
        "presence_penalty|3|presence_penalty|decimal_above_max_value",
        "n|0|n|integer_below_min_value",
        "n|129|n|integer_above_max_value",
        "best_of|1|best_of|invalid_value",
        "logprobs|21|logprobs|integer_above_max_value",
        "echo|\"yes\"|echo|invalid_type",
        "stop|[\"a\",\"b\",\"c\",\"d\",\"e\"]|stop|array_above_max_length",
        "stop|[5]|stop|invalid_type",
        "stop|\"\"|stop|invalid_value",
        "seed|1.5|seed|invalid_type",
        "logit_bias|{\"x\":1}|logit_bias|invalid_value",
        "logit_bias|{\"5\":101}|logit_bias.5|decimal_above_max_value",
        "logit_bias|{\"29\":1}|logit_bias|invalid_value",
        "suffix|\"x\"|suffix|unsupported_parameter",
        "stream_options|{\"include_usage\":true}|stream_options|invalid_value",
        "colour|1|colour|unknown_parameter",
      })
  void refusesWhatIsWrongByName(String key, String value, String parameter, String code) {
    ObjectNode request = object("model", "lm", "prompt", "MKT", "n", 2);
    String keys = request.toString();
    byte[] body =
        (keys.substring(0, keys.length() - 1).replaceFirst("\"" + key + "\":[^,]*,?", "")
                + ",\""
                + key
                + "\":"
                + value
                + "}")
            .replace("{,", "{")
            .replace(",,", ",")
            .getBytes(StandardCharsets.UTF_8);
    ServedLm.Answer answer = server.post(COMPLETIONS, "application/json", body);
    assertThat(answer.status()).isEqualTo(400);
    JsonNode error = answer.json().path("error");
    assertThat(error.path("type").asText()).isEqualTo("invalid_request_error");
    assertThat(error.path("param").asText()).isEqualTo(parameter);
    assertThat(error.path("code").asText()).isEqualTo(code);
    assertThat(error.path("message").asText()).contains(parameter).doesNotContain("java");
  }

  @Test
  void promptsBeyondTheModelsPositionsHaveTheCodeThatClientsKnow() {
    ObjectNode request = object("model", "lm", "prompt", "M".repeat(3000), "max_tokens", 1);
    refused(COMPLETIONS, request, 400, "context_length_exceeded");
    assertThat(server.post(COMPLETIONS, request).json().at("/error/message").asText())
        .contains("3000 tokens", "positions of the model");
  }

  @Test
  void refusesModelsThatCannot() {
    refused(COMPLETIONS, object("model", "no", "prompt", "M"), 404, "model_not_found");
    refused(COMPLETIONS, object("model", "mlm", "prompt", "M"), 400, "model_not_supported");
    refused(CHAT, object("model", "lm", "messages", MESSAGES), 400, "no_chat_template");
    var tools = List.of(Map.of("type", "function"));
    ObjectNode withTools = object("model", "chat", "messages", MESSAGES, "tools", tools);
    refused(CHAT, withTools, 400, "unsupported_parameter");
    var image = List.of(Map.of("role", "user", "content", List.of(Map.of("type", "image_url"))));
    refused(CHAT, object("model", "chat", "messages", image), 400, "invalid_value");
    refused(EMBEDDINGS, object("model", "mlm", "input", ""), 400, "invalid_value");
    refused(
        EMBEDDINGS, object("model", "mlm", "input", "M", "dimensions", 3), 400, "invalid_value");
    refused(EMBEDDINGS, object("model", "mlm", "input", List.of(10_000)), 400, "invalid_value");
    ServedLm.Answer letters = server.post(COMPLETIONS, object("model", "lm", "prompt", "mé"));
    assertThat(letters.status()).isEqualTo(400);
    assertThat(letters.json().at("/error/message").asText()).contains("letters").contains("é");
  }

  private static void refused(String path, ObjectNode request, int status, String code) {
    ServedLm.Answer answer = server.post(path, request);
    assertThat(answer.status()).isEqualTo(status);
    assertThat(answer.json().at("/error/code").asText()).isEqualTo(code);
  }
}
