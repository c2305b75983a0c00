package dev.performer.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.NotFoundException;
import dev.performer.OptionalLibrary;
import dev.performer.pipeline.TextEngine;
import dev.performer.savedmodel.ModelCard;
import dev.performer.server.generation.PromptTokens;
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
import java.util.ArrayList;
import java.util.List;

/**
 * OpenAI's API, for clients that know it: completions of texts, and of chats where a model has a
 * template for them; embeddings; the list of models. The latest version of a model answers.
 *
 * @see <a href="https://platform.openai.com/docs/api-reference">OpenAI's API reference</a>
 */
public final class OpenAiApi implements Api {
  private final ModelRepository models;
  private final int mostTokens;

  /**
   * Over models, which stay their owner's.
   *
   * @param mostTokens of a prompt and what is generated from it, together
   */
  public OpenAiApi(ModelRepository models, int mostTokens) {
    this.models = models;
    this.mostTokens = mostTokens;
  }

  @Override
  public String name() {
    return "openai";
  }

  @Override
  public void mount(Routes routes) {
    routes.get("/v1/models", this::list).summary("Lists the models.").response(Schemas.LIST);
    routes
        .post("/v1/completions", this::complete)
        .summary("Continues texts, whole or as events, as OpenAI's API has it.")
        .request(Schemas.TEXTS)
        .response(Schemas.COMPLETION)
        .response("text/event-stream", Schemas.EVENT);
    routes
        .post("/v1/chat/completions", this::chat)
        .summary("Answers in a conversation, where the model has a template for these.")
        .request(Schemas.CHAT)
        .response(Schemas.COMPLETION)
        .response("text/event-stream", Schemas.EVENT);
    routes
        .post("/v1/embeddings", this::embed)
        .summary("Turns texts into vectors, as OpenAI's API has it.")
        .request(Schemas.EMBEDDINGS)
        .response(Schemas.LIST);
  }

  private void list(Call call) {
    ObjectNode answer = Json.object().put("object", "list");
    ArrayNode data = answer.putArray("data");
    for (String name : models.names()) {
      try (Lease lease = models.lease(name, Version.LATEST)) {
        data.addObject()
            .put("id", name)
            .put("object", "model")
            .put("created", lease.model().created().getEpochSecond())
            .put("owned_by", "performer");
      } catch (NotFoundException e) {
        continue; // not loaded yet, or not any more
      }
    }
    call.respond(200, answer);
  }

  private void complete(Call call) {
    CompletionRequest request = CompletionRequest.ofTexts(call.json());
    Lease lease = lease(call, request.model());
    begin(lease, () -> submit(call, lease, request, CompletionCall.Kind.TEXT));
  }

  private void chat(Call call) {
    JsonNode json = call.json();
    CompletionRequest request = CompletionRequest.ofChat(json);
    var messages = ChatMessages.of(json.path("messages"));
    Lease lease = lease(call, request.model());
    begin(
        lease,
        () -> {
          TextEngine engine = engine(lease.model());
          ModelCard card = lease.model().model().card().orElse(null);
          if (card == null || card.chatTemplate() == null) {
            String text =
                "The model `%s` has no chat template, so messages make no prompt; use /v1/completions.";
            String message = text.formatted(request.model());
            throw new Refusal(400, message, "no_chat_template", "model");
          }
          OptionalLibrary.TEMPLATES.require("a chat template");
          var template = new ChatTemplate(card.chatTemplate(), engine.tokenizer().vocabulary());
          List<Integer> ids = new ArrayList<>();
          for (int id : engine.tokenizer().encoder().encode(template.render(messages))) {
            ids.add(id);
          }
          var asked = request.withPrompt(new Fields.Prompt(null, ids));
          submit(call, lease, asked, CompletionCall.Kind.CHAT);
        });
  }

  /** What begins keeps the lease; what fails at once ends it. */
  private static void begin(Lease lease, Runnable beginning) {
    try {
      beginning.run();
    } catch (RuntimeException e) {
      lease.close();
      throw e;
    }
  }

  private void submit(Call call, Lease lease, CompletionRequest request, CompletionCall.Kind kind) {
    ServedModel model = lease.model();
    int texts = request.prompts().size() * request.candidates();
    int shown = request.likeliest() == null ? 0 : request.likeliest();
    request.generation().requireFits(engine(model), request.prompts(), texts, shown, mostTokens);
    new CompletionCall(call, request, engine(model), kind, fingerprint(model)).submit(lease::close);
  }

  private static TextEngine engine(ServedModel model) {
    return model
        .texts()
        .orElseThrow(
            () -> {
              String text =
                  "The model `%s` does not continue texts: it is no causal language model with a tokenizer.";
              String message = text.formatted(model.name());
              return new Refusal(400, message, "model_not_supported", "model");
            });
  }

  private static String fingerprint(ServedModel model) {
    String version = model.name() + "/" + model.version() + "/" + model.created();
    return "fp_%08x".formatted(version.hashCode());
  }

  private void embed(Call call) {
    Embeddings request = Embeddings.of(call.json());
    try (Lease lease = lease(call, request.model())) {
      call.respond(200, request.run(lease.model().embedder(), mostTokens, PromptTokens.turn(call)));
    }
  }

  private Lease lease(Call call, String name) {
    try {
      Lease lease = models.lease(name, Version.LATEST);
      call.model(name);
      return lease;
    } catch (NotFoundException e) {
      boolean isKnown = models.names().contains(name);
      String text = "The model `%s` %s.";
      throw isKnown
          ? new Refusal(503, text.formatted(name, "is not loaded"), "model_not_ready", "model")
          : new Refusal(404, text.formatted(name, "does not exist"), "model_not_found", "model");
    }
  }

  @Override
  public JsonNode error(Failure failure) {
    ObjectNode body = Json.object();
    body.putObject("error")
        .put("message", failure.message())
        .put("type", type(failure.status()))
        .put("param", failure.parameter())
        .put("code", failure.code() != null ? failure.code() : code(failure.status()));
    return body;
  }

  private static String type(int status) {
    return switch (status) {
      case 403 -> "permission_error";
      case 429 -> "rate_limit_error";
      case 504 -> "timeout";
      default -> status < 500 ? "invalid_request_error" : "server_error";
    };
  }

  private static String code(int status) {
    return switch (status) {
      case 401 -> "invalid_api_key";
      case 429 -> "rate_limit_exceeded";
      case 504 -> "timeout";
      default -> null;
    };
  }
}
