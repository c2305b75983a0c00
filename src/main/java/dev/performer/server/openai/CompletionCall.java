package dev.performer.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.pipeline.TextEngine;
import dev.performer.pipeline.TextEngine.Finished;
import dev.performer.pipeline.TextEngine.Reason;
import dev.performer.pipeline.TextEngine.Token;
import dev.performer.server.generation.TextBatch;
import dev.performer.server.generation.TokenTexts;
import dev.performer.server.http.Call;
import dev.performer.server.http.EventStream;
import dev.performer.server.http.Json;
import java.time.Instant;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.stream.IntStream;

/** The answer to one call for completions: whole, or in events as it comes. */
final class CompletionCall implements TextBatch.Listener {
  /** What is completed, and what the objects are called. */
  enum Kind {
    TEXT("cmpl-", "text_completion", "text_completion"),
    CHAT("chatcmpl-", "chat.completion", "chat.completion.chunk");

    private final String prefix;
    private final String whole;
    private final String part;

    Kind(String prefix, String whole, String part) {
      this.prefix = prefix;
      this.whole = whole;
      this.part = part;
    }
  }

  private final Call call;
  private final CompletionRequest request;
  private final TextEngine engine;
  private final Kind kind;
  private final String fingerprint;
  private final String id;
  private final long created = Instant.now().getEpochSecond();
  private final LogProbabilities[] logs;
  private final boolean[] isBegun;
  private EventStream stream;

  /**
   * @param fingerprint of the model's version
   */
  CompletionCall(
      Call call, CompletionRequest request, TextEngine engine, Kind kind, String fingerprint) {
    this.call = call;
    this.request = request;
    this.engine = engine;
    this.kind = kind;
    this.fingerprint = fingerprint;
    id = kind.prefix + UUID.randomUUID().toString().replace("-", "");
    int texts = request.prompts().size() * request.candidates();
    isBegun = new boolean[texts];
    logs = new LogProbabilities[texts];
    if (request.likeliest() != null) {
      var names = new TokenTexts(engine.tokenizer());
      boolean hasLikeliest = request.likeliest() > 0;
      IntStream.range(0, texts).forEach(i -> logs[i] = new LogProbabilities(names, hasLikeliest));
    }
  }

  /** Begins. @param release runs when it has ended, also if this fails */
  void submit(Runnable release) {
    var batch = TextBatch.submit(engine, request.texts(), this, release);
    call.onCancel(batch::cancel);
  }

  @Override
  public void prompt(int text, List<Token> tokens) {
    tokens.forEach(token -> add(text, token));
  }

  private void add(int text, Token token) {
    if (logs[text] != null) {
      logs[text].add(token);
    }
  }

  @Override
  public void token(int text, Token token) {
    if (request.stream()) {
      begin(text);
    }
    add(text, token);
    if (request.stream() && !token.piece().isEmpty()) {
      send(part(text, token.piece(), null));
    }
  }

  @Override
  public void done(int text, Finished result) {
    if (request.stream()) {
      begin(text);
      send(part(text, result.rest(), result.reason()));
    }
  }

  /** The event in front of all tokens of a text. */
  private void begin(int text) {
    if (isBegun[text]) {
      return;
    }
    isBegun[text] = true;
    String echoed = request.echoed(text, engine);
    if (kind == Kind.CHAT) {
      ObjectNode choice = choice(text, null);
      choice.putObject("delta").put("role", "assistant").put("content", "");
      send(choice);
    } else if (!echoed.isEmpty()) {
      send(part(text, echoed, null));
    }
  }

  private ObjectNode part(int text, String piece, Reason reason) {
    ObjectNode choice = choice(text, reason);
    if (kind == Kind.TEXT) {
      return choice.put("text", piece);
    }
    ObjectNode delta = choice.putObject("delta");
    if (!piece.isEmpty()) {
      delta.put("content", piece);
    }
    return choice;
  }

  /** A choice with the log-probabilities since the last, and without its text. */
  private ObjectNode choice(int text, Reason reason) {
    ObjectNode choice = Json.object().put("index", text);
    LogProbabilities own = logs[text];
    JsonNode shown = own == null ? null : kind == Kind.TEXT ? own.ofText() : own.ofChat();
    choice.set("logprobs", shown);
    String why = reason == null ? null : reason == Reason.LENGTH ? "length" : "stop";
    return choice.put("finish_reason", why);
  }

  private void send(ObjectNode choice) {
    ObjectNode event = head(kind.part);
    event.putArray("choices").add(choice);
    if (request.includeUsage()) {
      event.putNull("usage");
    }
    stream().send(event);
  }

  /** It begins with the first event: until then, what fails has a status of its own. */
  private EventStream stream() {
    stream = stream == null ? call.stream() : stream;
    return stream;
  }

  private ObjectNode head(String object) {
    return Json.object()
        .put("id", id)
        .put("object", object)
        .put("created", created)
        .put("model", request.model())
        .put("system_fingerprint", fingerprint);
  }

  @Override
  public void done(List<Finished> all) {
    if (!request.stream()) {
      call.respond(200, whole(all));
      return;
    }
    if (request.includeUsage()) {
      ObjectNode last = head(kind.part);
      last.putArray("choices");
      last.set("usage", usage(all));
      stream().send(last);
    }
    stream().send("[DONE]");
    stream().close();
  }

  private ObjectNode whole(List<Finished> all) {
    ObjectNode answer = head(kind.whole);
    ArrayNode choices = answer.putArray("choices");
    int candidates = request.candidates();
    for (int first = 0; first < all.size(); first += candidates) {
      IntStream.range(first, first + candidates)
          .boxed()
          .sorted(Comparator.comparingDouble(i -> request.isBestOf() ? -mean(all.get(i)) : 0))
          .limit(request.choices())
          .forEach(i -> choices.add(whole(i, all.get(i)).put("index", choices.size())));
    }
    answer.set("usage", usage(all));
    return answer;
  }

  private ObjectNode whole(int text, Finished result) {
    ObjectNode choice = choice(text, result.reason());
    if (kind == Kind.TEXT) {
      return choice.put("text", request.echoed(text, engine) + result.text());
    }
    choice
        .putObject("message")
        .put("role", "assistant")
        .put("content", result.text())
        .putNull("refusal");
    return choice;
  }

  private static double mean(Finished text) {
    return text.tokens().stream()
        .mapToDouble(Token::logProbability)
        .average()
        .orElse(Double.NEGATIVE_INFINITY);
  }

  private ObjectNode usage(List<Finished> all) {
    int prompts = 0;
    int cached = 0;
    int completions = 0;
    for (int i = 0; i < all.size(); i++) {
      boolean isFirst = i % request.candidates() == 0;
      prompts += isFirst ? all.get(i).promptTokens() : 0;
      cached += isFirst ? all.get(i).cachedTokens() : 0;
      completions += all.get(i).tokens().size();
    }
    ObjectNode usage =
        Json.object()
            .put("prompt_tokens", prompts)
            .put("completion_tokens", completions)
            .put("total_tokens", prompts + completions);
    usage.putObject("prompt_tokens_details").put("cached_tokens", cached);
    return usage;
  }

  @Override
  public void failed(PerformerException why) {
    if (stream != null) {
      stream.fail(why);
    } else {
      call.fail(why);
    }
  }
}
