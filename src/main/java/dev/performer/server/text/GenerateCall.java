package dev.performer.server.text;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.pipeline.TextEngine;
import dev.performer.pipeline.TextEngine.Finished;
import dev.performer.pipeline.TextEngine.Likely;
import dev.performer.pipeline.TextEngine.Token;
import dev.performer.pipeline.TextRequest;
import dev.performer.server.generation.TextBatch;
import dev.performer.server.generation.TokenTexts;
import dev.performer.server.http.Call;
import dev.performer.server.http.EventStream;
import dev.performer.server.http.Json;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;

/** The answer to one call for texts: whole, or in events as it comes. */
final class GenerateCall implements TextBatch.Listener {
  private final Call call;
  private final TextEngine engine;
  private final TokenTexts texts;
  private final boolean streams;
  private final Supplier<ObjectNode> head;
  private EventStream stream;

  /**
   * @param head what the answer begins with, or in a stream the last event
   */
  GenerateCall(Call call, TextEngine engine, boolean streams, Supplier<ObjectNode> head) {
    this.call = call;
    this.engine = engine;
    this.streams = streams;
    this.head = head;
    texts = new TokenTexts(engine.tokenizer());
  }

  /** Begins. @param release runs when it has ended, also if this fails */
  void submit(List<TextRequest> requests, Runnable release) {
    var batch = TextBatch.submit(engine, requests, this, release);
    call.onCancel(batch::cancel);
  }

  @Override
  public void token(int text, Token token) {
    if (streams) {
      ObjectNode event = Json.object().put("index", text);
      event.setAll(named(token.id(), token.logProbability()));
      event.put("piece", token.piece());
      if (!token.likeliest().isEmpty()) {
        event.set("likeliest", likeliest(token));
      }
      stream().send(event);
    }
  }

  @Override
  public void done(int text, Finished result) {
    if (streams) {
      stream().send(ended(result).put("index", text).put("piece", result.rest()));
    }
  }

  private ObjectNode named(int id, double logProbability) {
    ObjectNode token = Json.object().put("id", id).put("token", texts.of(id));
    return token.put("log_probability", logProbability);
  }

  private ArrayNode likeliest(Token token) {
    ArrayNode all = Json.array();
    for (Likely one : token.likeliest()) {
      all.add(named(one.id(), one.logProbability()));
    }
    return all;
  }

  private static ObjectNode ended(Finished result) {
    return Json.object()
        .put("text", result.text())
        .put("reason", result.reason().name().toLowerCase(Locale.ROOT))
        .put("prompt_tokens", result.promptTokens())
        .put("cached_tokens", result.cachedTokens());
  }

  private ObjectNode whole(Finished result) {
    ObjectNode answer = ended(result);
    ArrayNode ids = answer.putArray("tokens");
    ArrayNode logProbabilities = answer.putArray("log_probabilities");
    for (Token token : result.tokens()) {
      ids.add(token.id());
      logProbabilities.add(token.logProbability());
    }
    if (result.tokens().stream().anyMatch(token -> !token.likeliest().isEmpty())) {
      ArrayNode likeliest = answer.putArray("likeliest");
      result.tokens().forEach(token -> likeliest.add(likeliest(token)));
    }
    return answer;
  }

  @Override
  public void done(List<Finished> all) {
    ObjectNode answer = head.get();
    if (streams) {
      stream().send(answer);
      stream().send("[DONE]");
      stream().close();
    } else {
      ArrayNode results = answer.putArray("results");
      all.forEach(result -> results.add(whole(result)));
      call.respond(200, answer);
    }
  }

  @Override
  public void failed(PerformerException why) {
    if (stream != null) {
      stream.fail(why);
    } else {
      call.fail(why);
    }
  }

  /** It begins with the first event: until then, what fails has a status of its own. */
  private EventStream stream() {
    stream = stream == null ? call.stream() : stream;
    return stream;
  }
}
