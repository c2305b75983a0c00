package dev.performer.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.pipeline.TextEngine.Likely;
import dev.performer.pipeline.TextEngine.Token;
import dev.performer.server.generation.TokenTexts;
import dev.performer.server.http.Json;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Log-probabilities of the tokens of one text, in parts as they come. */
final class LogProbabilities {
  /** What OpenAI gives for tokens that never come; JSON has no infinity. */
  private static final double LEAST = -9999;

  private final TokenTexts texts;
  private final boolean hasLikeliest;
  private final List<Token> waiting = new ArrayList<>();
  private int offset;

  LogProbabilities(TokenTexts texts, boolean hasLikeliest) {
    this.texts = texts;
    this.hasLikeliest = hasLikeliest;
  }

  /** A token that is part of the next part. */
  void add(Token token) {
    waiting.add(token);
  }

  /** Of the tokens since the last part, as completions of texts have it. */
  JsonNode ofText() {
    ObjectNode part = Json.object();
    ArrayNode tokens = part.putArray("tokens");
    ArrayNode own = part.putArray("token_logprobs");
    ArrayNode likeliest = hasLikeliest ? part.putArray("top_logprobs") : null;
    if (!hasLikeliest) {
      part.putNull("top_logprobs");
    }
    ArrayNode offsets = part.putArray("text_offset");
    for (Token token : waiting) {
      tokens.add(texts.of(token.id()));
      offsets.add(offset);
      offset += token.piece().length();
      boolean isFirst = Double.isNaN(token.logProbability()); // nothing is before it
      if (isFirst) {
        own.addNull();
      } else {
        own.add(finite(token.logProbability()));
      }
      if (hasLikeliest && isFirst) {
        likeliest.addNull();
      } else if (hasLikeliest) {
        ObjectNode all = likeliest.addObject();
        token.likeliest().forEach(one -> all.put(texts.of(one.id()), finite(one.logProbability())));
        all.put(texts.of(token.id()), finite(token.logProbability()));
      }
    }
    waiting.clear();
    return part;
  }

  /** Of the tokens since the last part, as chats have it. */
  JsonNode ofChat() {
    ObjectNode part = Json.object();
    ArrayNode content = part.putArray("content");
    for (Token token : waiting) {
      ObjectNode one = token(token.id(), token.logProbability());
      content.add(one);
      ArrayNode likeliest = one.putArray("top_logprobs");
      for (Likely other : token.likeliest()) {
        likeliest.add(token(other.id(), other.logProbability()));
      }
    }
    part.putNull("refusal");
    waiting.clear();
    return part;
  }

  private ObjectNode token(int id, double logProbability) {
    String text = texts.of(id);
    ObjectNode one = Json.object().put("token", text).put("logprob", finite(logProbability));
    ArrayNode bytes = one.putArray("bytes");
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      bytes.add(b & 0xFF);
    }
    return one;
  }

  private static double finite(double logProbability) {
    return logProbability > LEAST ? logProbability : LEAST;
  }
}
