package dev.performer.server;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import dev.performer.pipeline.GenerationOptions;
import dev.performer.pipeline.Importer;
import dev.performer.pipeline.TextGenerator;
import dev.performer.pipeline.TextGenerator.Generation;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.server.http.Json;
import dev.performer.serving.Sampling;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A real server of a causal protein model with a chat template and of an encoder, and its client.
 */
public final class ServedLm implements AutoCloseable {
  public static final Path ENCODER = Path.of("savedmodels/protein-mlm/saved_model");
  private final Path folder;
  private final PerformerServer server;
  private final HttpClient client = HttpClient.newHttpClient();
  private final TextGenerator generator;

  /** Serves {@code lm}, {@code chat} and {@code mlm}. */
  public ServedLm(Path folder) throws IOException {
    this.folder = folder;
    Importer.of(Path.of("savedmodels/checkpoints/lm_relu")).write(folder.resolve("lm"), false);
    ReferenceModels.copy(folder.resolve("lm"), folder.resolve("chat"));
    Path card = folder.resolve("chat").resolve(ModelCard.FILE);
    ObjectNode keys = (ObjectNode) StrictJson.readTree(card);
    keys.put("chatTemplate", "{% for m in messages %}{{ m['content'] | trim }}{% endfor %}\n");
    StrictJson.write(card, keys);
    server =
        PerformerServer.start(
            ServerOptions.DEFAULT
                .withModels(
                    "lm=" + folder.resolve("lm"),
                    "chat=" + folder.resolve("chat"),
                    "mlm=" + ENCODER)
                .withHttp(ServerOptions.DEFAULT.http().withPort(0))
                .withGrpcPort(null)
                .withSessionFolder(folder.resolve("sessions")));
    server.awaitLoaded();
    generator = TextGenerator.load(lm());
  }

  /** What the command line makes of prompts. */
  public List<Generation> generated(Sampling sampling, int tokens, String... prompts) {
    var options = GenerationOptions.DEFAULT.withSampler(sampling).withMaxTokens(tokens);
    return generator.generate(List.of(prompts), options);
  }

  /** The causal model. */
  public Path lm() {
    return folder.resolve("lm");
  }

  /** A response of any kind. */
  public record Answer(int status, byte[] body) {
    public JsonNode json() {
      return StrictJson.readTree(body, "the answer");
    }

    /** The data of its events; of those that are JSON. */
    public List<JsonNode> events() {
      List<JsonNode> all = new ArrayList<>();
      String text = new String(body, StandardCharsets.UTF_8);
      assertThat(text).endsWith("data: [DONE]\n\n");
      for (String event : text.split("\n\n")) {
        assertThat(event).startsWith("data: ");
        if (!event.endsWith("[DONE]")) {
          byte[] json = event.substring("data: ".length()).getBytes(StandardCharsets.UTF_8);
          all.add(StrictJson.readTree(json, "an event"));
        }
      }
      return all;
    }
  }

  /** Keys and values in turn, as an object. */
  public static ObjectNode object(Object... pairs) {
    ObjectNode object = Json.object();
    for (int i = 0; i < pairs.length; i += 2) {
      object.set((String) pairs[i], StrictJson.tree(pairs[i + 1]));
    }
    return object;
  }

  public Answer get(String path) {
    return send(request(path).GET());
  }

  public Answer delete(String path) {
    return send(request(path).DELETE());
  }

  public Answer post(String path, JsonNode body) {
    return post(path, "application/json", body.toString().getBytes(StandardCharsets.UTF_8));
  }

  public Answer post(String path, String type, byte[] body) {
    var bytes = BodyPublishers.ofByteArray(body);
    return send(request(path).header("Content-Type", type).POST(bytes));
  }

  /** The JSON of a response that is expected to be one of success. */
  public JsonNode ok(String path, Object... pairs) {
    Answer answer = post(path, object(pairs));
    assertThat(answer.status()).as("%s", new String(answer.body())).isEqualTo(200);
    return answer.json();
  }

  public HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + path));
  }

  public HttpClient client() {
    return client;
  }

  private Answer send(HttpRequest.Builder request) {
    try {
      var response = client.send(request.build(), BodyHandlers.ofByteArray());
      return new Answer(response.statusCode(), response.body());
    } catch (IOException | InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Override
  public void close() {
    generator.close();
    server.close();
  }
}
