package dev.performer.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.server.http.Fields;
import dev.performer.server.http.Refusal;
import dev.performer.server.openai.ChatTemplate.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Messages of a chat, of text alone. */
final class ChatMessages {
  private static final Set<String> ROLES = Set.of("system", "developer", "user", "assistant");
  private static final int MOST = 10_000;

  private ChatMessages() {}

  /** Of the parameter {@code messages}. */
  static List<Message> of(JsonNode messages) {
    if (messages.isMissingNode() || messages.isNull()) {
      String text = "Missing required parameter: 'messages'.";
      throw new Refusal(400, text, "missing_required_parameter", "messages");
    } else if (!messages.isArray()) {
      throw Fields.type("messages", "an array of objects", messages);
    } else if (messages.isEmpty()) {
      throw Fields.invalid("messages", "the array is empty");
    }
    Fields.requireLength("messages", messages.size(), MOST);
    List<Message> all = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      all.add(message("messages[" + i + "]", messages.get(i)));
    }
    return all;
  }

  private static Message message(String place, JsonNode message) {
    if (!message.isObject()) {
      throw Fields.type(place, "an object", message);
    }
    JsonNode role = message.path("role");
    if (!role.isTextual() || !ROLES.contains(role.textValue())) {
      throw Fields.invalid(place + ".role", "expected one of system, user, assistant");
    }
    // A template knows the older name only.
    String name = role.textValue().equals("developer") ? "system" : role.textValue();
    return new Message(name, content(place + ".content", message.path("content")));
  }

  private static String content(String place, JsonNode content) {
    if (content.isTextual()) {
      return content.textValue();
    } else if (!content.isArray()) {
      throw Fields.type(place, "a string or an array of parts", content);
    }
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < content.size(); i++) {
      JsonNode part = content.get(i);
      if (!part.path("type").asText().equals("text") || !part.path("text").isTextual()) {
        throw Fields.invalid(place + "[" + i + "]", "only parts of type 'text' are read");
      }
      text.append(part.path("text").textValue());
    }
    return text.toString();
  }
}
