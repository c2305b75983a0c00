package dev.performer.server.generation;

import static dev.performer.PerformerException.require;

import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.data.Tokenizer.Encoding;
import dev.performer.pipeline.Embedder;
import dev.performer.pipeline.TokenInput;
import dev.performer.server.http.Call;
import dev.performer.server.http.Fields;
import dev.performer.server.http.Refusal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** Texts and token ids of a request, as a model reads whole sequences. */
public final class PromptTokens {
  /** Sequences that run at a time. */
  public static final int BATCH = 32;

  /** Sequences of the greatest length that one call may have. */
  private static final int TIMES = 8;

  private static final int GONE = 499;

  private PromptTokens() {}

  /** What a call runs between steps of its work: it ends where nobody waits for it any more. */
  public static Runnable turn(Call call) {
    return () -> {
      if (call.isCancelled()) {
        throw new Refusal(GONE, "the request was given up"); // which nobody reads
      }
    };
  }

  /**
   * Encodes them; ids are taken as they come.
   *
   * @param parameter that has them
   * @param most tokens of one
   * @throws Refusal if one is longer than that or than the model takes, all together are longer
   *     than {@value #TIMES} of that, or one has ids that the model does not know
   */
  public static TokenizedSequences of(
      TokenInput input, List<Fields.Prompt> prompts, String parameter, int most) {
    long longest = Math.min(most, input.limit());
    Tokenizer tokenizer = input.tokenizer();
    List<String> names = new ArrayList<>();
    List<Encoding> encodings = new ArrayList<>();
    long all = 0;
    for (var prompt : prompts) {
      Encoding one =
          prompt.text() == null
              ? ids(prompt.ids(), tokenizer.size(), parameter)
              : input.encode(List.of(prompt.text())).encodings().get(0);
      long length = (long) one.ids().length + one.cropped();
      if (length > longest) {
        String text = "This model's maximum context length is %d tokens, but the input has %d.";
        String message = text.formatted(longest, length);
        throw new Refusal(400, message, "context_length_exceeded", parameter);
      }
      all += length;
      if (all > (long) TIMES * most) {
        String text = "one request takes at most %d tokens together; send several requests";
        throw Fields.invalid(parameter, text.formatted((long) TIMES * most));
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

  /**
   * A vector for each sequence. Only sequences of about one length run together: much padding costs
   * time, and rounds otherwise.
   *
   * @param turn runs before each run of the model; what it throws ends all
   */
  public static List<float[]> vectors(
      Embedder embedder, TokenizedSequences sequences, Runnable turn) {
    List<int[]> ids = sequences.ids();
    List<Integer> order = new ArrayList<>(IntStream.range(0, ids.size()).boxed().toList());
    order.sort(Comparator.comparingInt(i -> -ids.get(i).length));
    float[][] vectors = new float[ids.size()][];
    for (int first = 0; first < order.size(); ) {
      turn.run();
      int end = first + 1;
      int least = ids.get(order.get(first)).length * 4 / 5;
      while (end < Math.min(order.size(), first + BATCH)
          && ids.get(order.get(end)).length >= least) {
        end++;
      }
      List<Integer> part = order.subList(first, end);
      NpyArray some = embedder.embed(part(sequences, part), BATCH).get("embedding"); // [n, E]
      require(some != null, "the model gives a vector for each token; choose how they are pooled");
      float[] all = some.floats();
      int size = (int) some.shape()[1];
      for (int i = 0; i < part.size(); i++) {
        vectors[part.get(i)] = Arrays.copyOfRange(all, i * size, (i + 1) * size);
      }
      first = end;
    }
    return List.of(vectors);
  }

  private static TokenizedSequences part(TokenizedSequences all, List<Integer> indices) {
    return new TokenizedSequences(
        all.source(),
        indices.stream().map(all.names()::get).toList(),
        indices.stream().map(all.encodings()::get).toList(),
        Optional.empty());
  }
}
