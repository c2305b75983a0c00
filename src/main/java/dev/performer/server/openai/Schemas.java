package dev.performer.server.openai;

import static dev.performer.server.generation.RequestSchemas.prompt;
import static dev.performer.server.generation.RequestSchemas.withGeneration;
import static dev.performer.server.http.Schema.array;
import static dev.performer.server.http.Schema.object;
import static dev.performer.server.http.Schema.of;
import static dev.performer.server.http.Schema.require;
import static dev.performer.server.http.Schema.with;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.server.generation.RequestSchemas;
import dev.performer.server.http.Schema;
import java.util.List;

/** JSON schemas of OpenAI's API, for the OpenAPI document. */
final class Schemas {
  static final ObjectNode TEXTS = texts();
  static final ObjectNode CHAT = chat();
  static final ObjectNode EMBEDDINGS = embeddings();
  static final ObjectNode LIST = list();
  static final ObjectNode COMPLETION = completion();
  static final ObjectNode EVENT = of("string", "Events with JSON as their data, the last [DONE].");

  private Schemas() {}

  private static ObjectNode request() {
    ObjectNode request = require(object(), "model", of("string", "The name of a model."));
    withGeneration(request);
    ObjectNode usage = of("boolean", "Whether the last event has the number of tokens.");
    with(request, "stream_options", with(object(), "include_usage", usage));
    return RequestSchemas.withIntegers(request, List.of("n", "Choices of each prompt."));
  }

  private static ObjectNode texts() {
    ObjectNode request = require(request(), "prompt", prompt());
    with(request, "echo", of("boolean", "Whether prompts are part of the texts."));
    return RequestSchemas.withIntegers(
        request,
        List.of(
            "best_of", "Texts of which the likeliest are the choices.",
            "logprobs", "Log-probabilities of so many of the likeliest tokens."));
  }

  private static ObjectNode chat() {
    ObjectNode message = require(object(), "role", of("string", "system, user or assistant."));
    require(message, "content", Schema.any("A text, or parts of the type text."));
    ObjectNode request = require(request(), "messages", array(message, "What was said."));
    with(request, "logprobs", of("boolean", "Whether tokens come with log-probabilities."));
    return RequestSchemas.withIntegers(
        request,
        List.of(
            "max_completion_tokens", "New tokens at most.",
            "top_logprobs", "Log-probabilities of so many of the likeliest tokens."));
  }

  private static ObjectNode embeddings() {
    ObjectNode request = require(object(), "model", of("string", "The name of a model."));
    require(request, "input", prompt());
    with(request, "encoding_format", of("string", "float or base64."));
    return with(request, "dimensions", of("integer", "The size of the model's vectors."));
  }

  private static ObjectNode list() {
    ObjectNode list = with(object(), "object", of("string", "list."));
    return with(list, "data", array(object(), "Models, or vectors."));
  }

  private static ObjectNode completion() {
    ObjectNode answer = with(object(), "id", of("string", "Of this answer."));
    with(answer, "model", of("string", "The name of the model."));
    with(answer, "choices", array(object(), "Texts, with why they ended."));
    return with(answer, "usage", object());
  }
}
