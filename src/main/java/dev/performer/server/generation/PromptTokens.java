package dev.performer.server.generation;

import static dev.performer.PerformerException.require;

import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.data.Tokenizer.Encoding;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.TokenInput;
import dev.performer.server.http.Fields;
import dev.performer.server.http.Refusal;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Texts and token ids of a request, as a model reads whole sequences. */
public final class PromptTokens {
  /** Sequences that run at a time. */
  public static final int BATCH = 32;

  private PromptTokens() {}

  /**
   * Encodes them; ids are taken as they come.
   *
   * @param parameter that has them
   * @throws Refusal if one is longer than the model takes, or has ids that it does not know
   */
  public static TokenizedSequences of(
      TokenInput input, List<Fields.Prompt> prompts, String parameter) {
    Tokenizer tokenizer = input.tokenizer();
    List<String> names = new ArrayList<>();
    List<Encoding> encodings = new ArrayList<>();
    for (var prompt : prompts) {
      Encoding one =
          prompt.text() == null
              ? ids(prompt.ids(), tokenizer.size(), parameter)
              : input.encode(List.of(prompt.text())).encodings().get(0);
      long length = (long) one.ids().length + one.cropped();
      if (length > input.limit()) {
        String text = "This model's maximum context length is %d tokens, but the input has %d.";
        String message = text.formatted(input.limit(), length);
        throw new Refusal(400, message, "context_length_exceeded", parameter);
      }
      names.add("" + (names.size() + 1));
      encodings.add(one);
    }
    return new TokenizedSequences("the request", names, encodings, Optional.empty());
  }

  private static Encoding ids(List<Integer> ids, int size, String parameter) {
    for (int id : ids) {
      if (size > 0 && id >= size) {
        String text = "the token id %d is not in the vocabulary, which has %d";
        throw Fields.invalid(parameter, text.formatted(id, size));
      }
    }
    return new Encoding(ids.stream().mapToInt(id -> id).toArray(), 0, ids.size(), 0);
  }

  /** A vector for each sequence, {@code [N, E]}. */
  public static NpyArray vectors(Embedder embedder, TokenizedSequences sequences) {
    NpyArray vectors = embedder.embed(sequences, BATCH).get("embedding");
    String text = "the model gives a vector for each token; choose how they are pooled";
    require(vectors != null, text);
    return vectors;
  }
}
