package dev.performer.server.generation;

import static dev.performer.server.http.Schema.array;
import static dev.performer.server.http.Schema.map;
import static dev.performer.server.http.Schema.of;
import static dev.performer.server.http.Schema.with;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.server.http.Schema;
import java.util.List;

/** JSON schemas of the parameters that {@link Generation} and {@code Fields.prompts} read. */
public final class RequestSchemas {
  private RequestSchemas() {}

  /** A prompt in any of its forms. */
  public static ObjectNode prompt() {
    return Schema.any("A text, texts, token ids, or lists of token ids.");
  }

  /** Adds the parameters of {@link Generation#PARAMETERS} and the number of tokens. */
  public static ObjectNode withGeneration(ObjectNode request) {
    String ends = "Texts that end a text and are not part of it.";
    with(request, "max_tokens", of("integer", "New tokens of a text at most."));
    with(request, "temperature", of("number", "Divides the logits, from 0 (greedy) to 2."));
    with(request, "top_k", of("integer", "Only the k most likely tokens; 0 for all."));
    with(request, "top_p", of("number", "Only the likeliest tokens that sum to this probability."));
    with(request, "repetition_penalty", of("number", "Above 1 makes repeated tokens rarer."));
    with(request, "repetition_window", of("integer", "Tokens that penalty looks at; 0 for all."));
    with(request, "presence_penalty", of("number", "Taken off logits of chosen tokens."));
    with(request, "frequency_penalty", of("number", "The same for each time they were chosen."));
    var bias = of("number", "From -100 to 100.");
    with(request, "logit_bias", map(bias, "Added to the logits of token ids."));
    with(request, "seed", of("integer", "Of the random numbers; random where it is absent."));
    with(request, "stop", array(of("string", "A text."), ends));
    return with(request, "stream", of("boolean", "Whether tokens come as events."));
  }

  /** Adds integers of which only the names differ. @param names and sentences in turn */
  public static ObjectNode withIntegers(ObjectNode request, List<String> names) {
    for (int i = 0; i < names.size(); i += 2) {
      with(request, names.get(i), of("integer", names.get(i + 1)));
    }
    return request;
  }
}
