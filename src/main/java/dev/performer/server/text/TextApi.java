package dev.performer.server.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.Excerpt;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.model.TextEmbedding.Pooling;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.EmbeddingSpec;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.TextEngine;
import dev.performer.pipeline.TextRequest;
import dev.performer.server.generation.Generation;
import dev.performer.server.generation.PromptTokens;
import dev.performer.server.generation.TokenTexts;
import dev.performer.server.http.Api;
import dev.performer.server.http.Call;
import dev.performer.server.http.Failure;
import dev.performer.server.http.Fields;
import dev.performer.server.http.Json;
import dev.performer.server.http.Refusal;
import dev.performer.server.http.Routes;
import dev.performer.server.models.Lease;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.models.ServedModel;
import dev.performer.server.models.Version;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * Texts continued, scored and embedded with the options of the command line, and sessions, by the
 * paths of TensorFlow Serving's REST API and with its shape of errors.
 */
public final class TextApi implements Api {
  private static final int MOST_SEQUENCES = 2048;
  private static final int MOST_LIKELIEST = 1000;
  private static final int MOST_STOPS = 16;

  private final ModelRepository models;
  private final Optional<SessionFolder> folder;

  /**
   * Over models, which stay their owner's.
   *
   * @param sessions where sessions are saved by name; null for nowhere
   */
  public TextApi(ModelRepository models, Path sessions) {
    this.models = models;
    folder = Optional.ofNullable(sessions).map(SessionFolder::new);
  }

  @Override
  public String name() {
    return "text";
  }

  @Override
  public void mount(Routes routes) {
    mount(routes, "", call -> Version.LATEST);
    mount(routes, "/versions/{version}", call -> number(call.parameter("version")));
    mount(routes, "/labels/{label}", call -> Version.label(call.parameter("label")));
  }

  private void mount(Routes routes, String path, Function<Call, Version> version) {
    String model = "/v1/models/{model}" + path;
    routes
        .post(model + ":generate", call -> generate(call, version.apply(call)))
        .summary("Continues texts, whole or as events.");
    routes
        .post(model + ":score", call -> score(call, version.apply(call)))
        .summary("Gives the log-probability of each token of texts.");
    routes
        .post(model + ":embed", call -> embed(call, version.apply(call)))
        .summary("Turns texts into vectors.");
    new SessionRoutes(this, folder, version).mount(routes, model + "/sessions");
  }

  private static Version number(String version) {
    try {
      return Version.of(Long.parseLong(version));
    } catch (NumberFormatException e) {
      throw new Refusal(400, "a version is a number, not '%s'".formatted(Excerpt.of(version)));
    }
  }

  /** The model that a call's path names. */
  Lease lease(Call call, Version version) {
    String name = call.parameter("model");
    Lease lease = models.lease(name, version);
    call.model(name);
    return lease;
  }

  static TextEngine engine(ServedModel model) {
    String text = "%s does not continue texts: it is no causal language model with a tokenizer";
    return model.texts().orElseThrow(() -> new Refusal(400, text.formatted(model.name())));
  }

  private void generate(Call call, Version version) {
    Fields fields = fields(call, "prompt", "n");
    var prompts = fields.prompts("prompt", Generation.MOST_TEXTS);
    int choices = fields.integer("n", 1, Generation.MOST_TEXTS).orElse(1);
    int count = prompts.size() * choices;
    Fields.requireLength("prompt", count, Generation.MOST_TEXTS);
    Generation generation = generation(fields);
    List<TextRequest> requests = new ArrayList<>();
    for (int row = 0; row < count; row++) {
      TextRequest one = generation.request(prompts.get(row / choices), row, call.deadline());
      requests.add(one.withLikeliest(likeliest(fields)));
    }
    Lease lease = lease(call, version);
    run(call, lease, fields.flag("stream", false), requests, () -> head(lease, generation));
  }

  /** The parameters of a call that generates. */
  static Fields fields(Call call, String... more) {
    List<String> known = new ArrayList<>(Generation.PARAMETERS);
    known.addAll(List.of("max_tokens", "greedy", "likeliest", "stream"));
    known.addAll(List.of(more));
    return new Fields(call.json(), known);
  }

  static Generation generation(Fields fields) {
    var most = fields.integer("max_tokens", 0, Generation.MOST_TOKENS);
    return Generation.of(fields, most, MOST_STOPS).withGreedy(fields.flag("greedy", false));
  }

  static int likeliest(Fields fields) {
    return fields.integer("likeliest", 0, MOST_LIKELIEST).orElse(0);
  }

  static ObjectNode head(Lease lease, Generation generation) {
    return Json.object()
        .put("model", lease.model().name())
        .put("version", lease.model().version())
        .put("seed", generation.sampling().seed());
  }

  /** Generates; ends the lease behind the last text. */
  static void run(
      Call call,
      Lease lease,
      boolean streams,
      List<TextRequest> requests,
      Supplier<ObjectNode> head) {
    TextEngine engine;
    try {
      engine = engine(lease.model());
    } catch (RuntimeException e) {
      lease.close();
      throw e;
    }
    new GenerateCall(call, engine, streams, head).submit(requests, lease::close);
  }

  private void score(Call call, Version version) {
    Fields fields = new Fields(call.json(), List.of("prompt"));
    var prompts = fields.prompts("prompt", MOST_SEQUENCES);
    try (Lease lease = lease(call, version)) {
      Scorer scorer = lease.model().scorer();
      TokenizedSequences sequences = PromptTokens.of(scorer.input(), prompts, "prompt");
      List<Scorer.Score> scores = scorer.score(sequences, PromptTokens.BATCH);
      TokenTexts texts = new TokenTexts(scorer.input().tokenizer());
      ObjectNode answer = answer(lease);
      ArrayNode results = answer.putArray("results");
      for (int i = 0; i < scores.size(); i++) {
        Scorer.Score score = scores.get(i);
        ObjectNode one = results.addObject().put("counted", score.counted());
        one.put("log_probability", score.sum());
        boolean isEmpty = score.counted() == 0;
        one.put("mean", isEmpty ? null : (Double) score.mean());
        one.put("perplexity", isEmpty ? null : (Double) score.perplexity());
        ArrayNode ids = one.putArray("tokens");
        ArrayNode names = one.putArray("token_texts");
        for (int id : sequences.ids().get(i)) {
          ids.add(id);
          names.add(texts.of(id));
        }
        ArrayNode logProbabilities = one.putArray("log_probabilities");
        Arrays.stream(score.tokens()).forEach(logProbabilities::add);
      }
      call.respond(200, answer);
    }
  }

  private void embed(Call call, Version version) {
    Fields fields = new Fields(call.json(), List.of("prompt", "pool", "normalize", "output"));
    var prompts = fields.prompts("prompt", MOST_SEQUENCES);
    boolean isIds = prompts.get(0).text() == null;
    Boolean normalize = fields.has("normalize") ? fields.flag("normalize", false) : null;
    var options = new EmbeddingSpec.Options(fields.text("output"), pooling(fields), normalize);
    try (Lease lease = lease(call, version)) {
      ServedModel model = lease.model();
      Embedder embedder =
          options.equals(EmbeddingSpec.Options.DEFAULT) && !isIds
              ? model.embedder()
              : Embedder.of(model.predictor(), EmbeddingSpec.of(model.model(), options, isIds));
      TokenizedSequences sequences = PromptTokens.of(embedder.input(), prompts, "prompt");
      NpyArray vectors = embedder.embed(sequences, PromptTokens.BATCH).values().iterator().next();
      call.respond(200, vectors(answer(lease), vectors, sequences));
    }
  }

  private static Pooling pooling(Fields fields) {
    String name = fields.text("pool");
    for (Pooling pooling : Pooling.values()) {
      if (name == null || label(pooling).equals(name)) {
        return name == null ? null : pooling;
      }
    }
    String known =
        Arrays.stream(Pooling.values()).map(TextApi::label).collect(Collectors.joining(", "));
    throw Fields.invalid("pool", "expected one of " + known);
  }

  private static String label(Pooling pooling) {
    return pooling.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** One for each text, or without pooling one for each of its tokens. */
  private static ObjectNode vectors(
      ObjectNode answer, NpyArray vectors, TokenizedSequences sequences) {
    long[] shape = vectors.shape(); // [N, E] or [N, L, E]
    int size = (int) shape[shape.length - 1];
    int length = shape.length == 3 ? (int) shape[1] : 1;
    float[] all = vectors.floats();
    ArrayNode embeddings = answer.putArray("embeddings");
    ArrayNode counts = answer.putArray("tokens");
    for (int i = 0; i < shape[0]; i++) {
      int tokens = sequences.ids().get(i).length;
      counts.add(tokens);
      ArrayNode own = embeddings.addArray();
      for (int t = 0; t < (shape.length == 3 ? tokens : 1); t++) {
        ArrayNode vector = shape.length == 3 ? own.addArray() : own;
        for (int c = 0; c < size; c++) {
          vector.add(all[(i * length + t) * size + c]);
        }
      }
    }
    return answer;
  }

  private static ObjectNode answer(Lease lease) {
    return Json.object().put("model", lease.model().name()).put("version", lease.model().version());
  }

  @Override
  public JsonNode error(Failure failure) {
    return Json.object().put("error", failure.message());
  }
}
