package dev.performer.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.pipeline.TextEngine;
import dev.performer.pipeline.TextRequest;
import dev.performer.server.generation.Generation;
import dev.performer.server.http.Fields;
import dev.performer.server.http.Fields.Prompt;
import dev.performer.server.http.Refusal;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * What a call wants completed, of either kind.
 *
 * @param prompts each of which is completed {@code choices} times
 * @param candidates of a prompt, of which the likeliest are the choices
 * @param echo whether prompts are part of the texts
 * @param likeliest of how many tokens log-probabilities come with each token; null for none
 * @param stream whether tokens are sent as they come
 * @param includeUsage whether a stream ends with the number of tokens
 */
record CompletionRequest(
    String model,
    List<Prompt> prompts,
    Generation generation,
    int choices,
    int candidates,
    boolean echo,
    Integer likeliest,
    boolean stream,
    boolean includeUsage) {
  private static final int MOST_LIKELIEST = 20;
  private static final int MOST_STOPS = 4;
  private static final int USUAL_TOKENS = 16;

  private static final List<String> OF_BOTH =
      List.of("model", "n", "stream", "stream_options", "max_tokens", "logprobs", "user");

  private static final List<String> OF_TEXTS = List.of("prompt", "best_of", "echo", "suffix");

  private static final List<String> OF_CHATS =
      List.of("messages", "top_logprobs", "max_completion_tokens");

  /** Parameters of chats that change nothing here. */
  private static final List<String> WITHOUT_EFFECT =
      List.of(
          "metadata",
          "parallel_tool_calls",
          "prediction",
          "prompt_cache_key",
          "prompt_cache_retention",
          "reasoning_effort",
          "safety_identifier",
          "service_tier",
          "store",
          "verbosity");

  /** Parameters of chats that would change what comes. */
  private static final List<String> UNSUPPORTED =
      List.of("audio", "function_call", "functions", "tool_choice", "tools", "web_search_options");

  private static final List<String> FORMATS = List.of("modalities", "response_format");

  /** Of {@code POST /v1/completions}. */
  static CompletionRequest ofTexts(JsonNode json) {
    Fields fields = new Fields(json, all(OF_BOTH, OF_TEXTS, Generation.PARAMETERS));
    String model = model(fields);
    if (fields.has("suffix") && !fields.text("suffix").isEmpty()) {
      throw unsupported("suffix", "text is only continued, not filled in");
    }
    List<Prompt> prompts = fields.prompts("prompt", Generation.MOST_TEXTS);
    OptionalInt most = fields.integer("max_tokens", 0, Generation.MOST_TOKENS);
    most = most.isPresent() ? most : OptionalInt.of(USUAL_TOKENS);
    OptionalInt likeliest = fields.integer("logprobs", 0, MOST_LIKELIEST);
    boolean stream = fields.flag("stream", false);
    int choices = fields.integer("n", 1, Generation.MOST_TEXTS).orElse(1);
    int candidates = fields.integer("best_of", 1, Generation.MOST_TEXTS).orElse(choices);
    if (candidates < choices) {
      throw Fields.invalid("best_of", "it must be at least n, which is " + choices);
    } else if (stream && candidates > choices) {
      throw Fields.invalid("best_of", "choices are streamed before the best are known");
    }
    return new CompletionRequest(
        model,
        prompts,
        Generation.of(fields, most, MOST_STOPS),
        choices,
        candidates,
        fields.flag("echo", false),
        likeliest.isPresent() ? likeliest.getAsInt() : null,
        stream,
        includesUsage(fields, stream));
  }

  /** Of {@code POST /v1/chat/completions}; its prompt is not rendered yet. */
  static CompletionRequest ofChat(JsonNode json) {
    var known = all(OF_BOTH, OF_CHATS, Generation.PARAMETERS, WITHOUT_EFFECT, UNSUPPORTED, FORMATS);
    Fields fields = new Fields(json, known);
    String model = model(fields);
    for (String name : UNSUPPORTED) {
      JsonNode value = fields.get(name);
      boolean isIdle = value.isContainerNode() ? value.isEmpty() : isDefault(value.asText());
      if (fields.has(name) && !isIdle) {
        throw unsupported(name, "no model here calls tools or gives sound");
      }
    }
    String format = fields.get("response_format").path("type").asText("text");
    if (!format.equals("text")) {
      throw unsupported("response_format", "texts have no format");
    }
    for (JsonNode kind : fields.get("modalities")) {
      if (!kind.asText().equals("text")) {
        throw unsupported("modalities", "models give text alone");
      }
    }
    boolean hasLogProbabilities = fields.flag("logprobs", false);
    OptionalInt likeliest = fields.integer("top_logprobs", 0, MOST_LIKELIEST);
    if (likeliest.isPresent() && !hasLogProbabilities) {
      throw Fields.invalid("top_logprobs", "it needs 'logprobs' to be true");
    }
    OptionalInt most = fields.integer("max_completion_tokens", 1, Generation.MOST_TOKENS);
    OptionalInt old = fields.integer("max_tokens", 1, Generation.MOST_TOKENS);
    boolean stream = fields.flag("stream", false);
    int choices = fields.integer("n", 1, Generation.MOST_TEXTS).orElse(1);
    return new CompletionRequest(
        model,
        List.of(),
        Generation.of(fields, most.isPresent() ? most : old, MOST_STOPS),
        choices,
        choices,
        false,
        hasLogProbabilities ? Integer.valueOf(likeliest.orElse(0)) : null,
        stream,
        includesUsage(fields, stream));
  }

  private static boolean isDefault(String choice) {
    return choice.equals("none") || choice.equals("auto");
  }

  @SafeVarargs
  private static List<String> all(List<String>... names) {
    List<String> all = new ArrayList<>();
    for (List<String> some : names) {
      all.addAll(some);
    }
    return all;
  }

  private static String model(Fields fields) {
    fields.required("model");
    fields.text("user");
    return fields.text("model");
  }

  private static boolean includesUsage(Fields fields, boolean stream) {
    if (!fields.has("stream_options")) {
      return false;
    } else if (!stream) {
      throw Fields.invalid("stream_options", "it needs 'stream' to be true");
    }
    var known = List.of("include_usage", "include_obfuscation");
    return new Fields(fields.get("stream_options"), known).flag("include_usage", false);
  }

  private static RuntimeException unsupported(String name, String why) {
    return new Refusal(
        400,
        "Unsupported parameter: '%s'; %s.".formatted(name, why),
        "unsupported_parameter",
        name);
  }

  /** The same for one prompt. */
  CompletionRequest withPrompt(Prompt prompt) {
    return new CompletionRequest(
        model,
        List.of(prompt),
        generation,
        choices,
        candidates,
        echo,
        likeliest,
        stream,
        includeUsage);
  }

  /** The texts to generate, all candidates of a prompt behind each other. */
  List<TextRequest> texts() {
    long count = (long) prompts.size() * candidates;
    if (count > Generation.MOST_TEXTS) {
      String text = "%d prompts, %d times each, are more than %d texts of one call";
      String why = text.formatted(prompts.size(), candidates, Generation.MOST_TEXTS);
      throw Fields.invalid(candidates > choices ? "best_of" : "n", why);
    }
    int shown = likeliest == null ? 0 : likeliest;
    List<TextRequest> all = new ArrayList<>();
    for (int row = 0; row < count; row++) {
      TextRequest one = generation.request(prompts.get(row / candidates), row);
      all.add(one.withLikeliest(shown).withScoredPrompt(echo && likeliest != null));
    }
    return all;
  }

  /** Whether some candidates are left out. */
  boolean isBestOf() {
    return candidates > choices;
  }

  /** The text of a prompt, where it is part of what comes. */
  String echoed(int text, TextEngine engine) {
    Prompt prompt = prompts.get(text / candidates);
    if (!echo) {
      return "";
    }
    return prompt.text() != null
        ? prompt.text()
        : engine.tokenizer().decode(prompt.ids().stream().mapToInt(id -> id).toArray());
  }
}
