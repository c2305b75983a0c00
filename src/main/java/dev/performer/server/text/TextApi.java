package dev.performer.server.text;

import static dev.performer.server.generation.RequestSchemas.prompt;
import static dev.performer.server.generation.RequestSchemas.withGeneration;
import static dev.performer.server.http.Schema.object;
import static dev.performer.server.http.Schema.of;
import static dev.performer.server.http.Schema.require;
import static dev.performer.server.http.Schema.with;

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

  /** Logits of one text, which are in memory together: 1 GB of them. */
  private static final long MOST_LOGITS = 1L << 28;

  private final ModelRepository models;
  private final int mostTokens;
  private final Optional<SessionFolder> folder;

  /**
   * Over models, which stay their owner's.
   *
   * @param mostTokens of a prompt and what is generated from it, together
   * @param sessions where sessions are saved by name; null for nowhere
   */
  public TextApi(ModelRepository models, int mostTokens, Path sessions) {
    this.models = models;
    this.mostTokens = mostTokens;
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
        .summary("Continues texts, whole or as events.")
        .request(generateSchema(true))
        .response(object());
    routes
        .post(model + ":score", call -> score(call, version.apply(call)))
        .summary("Gives the log-probability of each token of texts.")
        .request(require(object(), "prompt", prompt()))
        .response(object());
    routes
        .post(model + ":embed", call -> embed(call, version.apply(call)))
        .summary("Turns texts into vectors.")
        .request(embedSchema())
        .response(object());
    new SessionRoutes(this, folder, version).mount(routes, model + "/sessions");
  }

  /**
   * @param isWhole whether a prompt must be there, and may have choices
   */
  static ObjectNode generateSchema(boolean isWhole) {
    ObjectNode request =
        withGeneration(
            isWhole ? require(object(), "prompt", prompt()) : with(object(), "prompt", prompt()));
    with(request, "greedy", of("boolean", "Whether the most likely token is taken each time."));
    with(request, "likeliest", of("integer", "Of so many tokens log-probabilities come along."));
    return isWhole ? with(request, "n", of("integer", "Choices of each prompt.")) : request;
  }

  private static ObjectNode embedSchema() {
    ObjectNode request = require(object(), "prompt", prompt());
    with(request, "output", of("string", "An output of the model's signature."));
    with(request, "pool", of("string", "How vectors of tokens are joined; none for each."));
    return with(request, "normalize", of("boolean", "Whether vectors get the length 1."));
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
    Fields fields = fields(call, "n");
    var prompts = fields.prompts("prompt", Generation.MOST_TEXTS);
    generate(call, lease(call, version), fields, prompts, null);
  }

  /** The parameters of a call that generates. */
  static Fields fields(Call call, String... more) {
    List<String> known = new ArrayList<>(Generation.PARAMETERS);
    known.addAll(List.of("prompt", "max_tokens", "greedy", "likeliest", "stream"));
    known.addAll(List.of(more));
    return new Fields(call.json(), known);
  }

  /**
   * Generates, and ends the lease behind the last text.
   *
   * @param session that goes on, or null
   */
  void generate(
      Call call, Lease lease, Fields fields, List<Fields.Prompt> prompts, String session) {
    try {
      TextEngine engine = engine(lease.model());
      var most = fields.integer("max_tokens", 0, Generation.MOST_TOKENS);
      boolean greedy = fields.flag("greedy", false);
      Generation generation = Generation.of(fields, most, MOST_STOPS).withGreedy(greedy);
      int likeliest = fields.integer("likeliest", 0, MOST_LIKELIEST).orElse(0);
      int choices = fields.integer("n", 1, Generation.MOST_TEXTS).orElse(1);
      int count = prompts.size() * choices;
      Fields.requireLength("prompt", count, Generation.MOST_TEXTS);
      generation.requireFits(engine, prompts, count, likeliest, mostTokens);
      List<TextRequest> requests = new ArrayList<>();
      for (int row = 0; row < count; row++) {
        TextRequest one = generation.request(prompts.get(row / choices), row);
        requests.add(one.withLikeliest(likeliest).withSession(session));
      }
      Supplier<ObjectNode> head =
          () -> {
            ObjectNode answer = answer(lease).put("seed", generation.sampling().seed());
            return session == null
                ? answer
                : answer.set("session", SessionRoutes.shownIfOpen(lease, engine, session));
          };
      new GenerateCall(call, engine, fields.flag("stream", false), head)
          .submit(requests, lease::close);
    } catch (RuntimeException e) {
      lease.close();
      throw e;
    }
  }

  /** Checks prompts that are only read. */
  void requireShort(TextEngine engine, List<Fields.Prompt> prompts) {
    Generation.requireShort(engine, prompts, 0, mostTokens);
  }

  private void score(Call call, Version version) {
    Fields fields = new Fields(call.json(), List.of("prompt"));
    var prompts = fields.prompts("prompt", MOST_SEQUENCES);
    try (Lease lease = lease(call, version)) {
      Scorer scorer = lease.model().scorer();
      var sequences = PromptTokens.of(scorer.input(), prompts, "prompt", mostTokens);
      int words = scorer.input().tokenizer().size();
      if ((long) sequences.longest() * words > MOST_LOGITS) {
        String text = "a text of %d tokens needs too many logits, %d for each";
        throw Fields.invalid("prompt", text.formatted(sequences.longest(), words));
      }
      var scores = scorer.score(sequences, PromptTokens.BATCH, PromptTokens.turn(call));
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
      var sequences = PromptTokens.of(embedder.input(), prompts, "prompt", mostTokens);
      ObjectNode answer = answer(lease);
      ArrayNode embeddings = answer.putArray("embeddings");
      if (options.pooling() == Pooling.NONE) {
        addTokens(embeddings, embedder, sequences);
      } else {
        for (float[] one : PromptTokens.vectors(embedder, sequences, PromptTokens.turn(call))) {
          add(embeddings, one, 0, one.length);
        }
      }
      ArrayNode counts = answer.putArray("tokens");
      sequences.ids().forEach(ids -> counts.add(ids.length));
      call.respond(200, answer);
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

  private static void addTokens(ArrayNode all, Embedder embedder, TokenizedSequences sequences) {
    NpyArray vectors = embedder.embed(sequences, PromptTokens.BATCH).get("embeddings"); // [N, L, E]
    int length = (int) vectors.shape()[1];
    int size = (int) vectors.shape()[2];
    float[] numbers = vectors.floats();
    for (int i = 0; i < sequences.ids().size(); i++) {
      ArrayNode text = all.addArray();
      for (int t = 0; t < sequences.ids().get(i).length; t++) {
        add(text, numbers, (i * length + t) * size, size);
      }
    }
  }

  private static void add(ArrayNode list, float[] numbers, int from, int size) {
    ArrayNode vector = list.addArray();
    for (int c = 0; c < size; c++) {
      vector.add(numbers[from + c]);
    }
  }

  private static ObjectNode answer(Lease lease) {
    return Json.object().put("model", lease.model().name()).put("version", lease.model().version());
  }

  @Override
  public JsonNode error(Failure failure) {
    return Json.object().put("error", failure.message());
  }
}
