package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.ResidueEncoder;
import dev.performer.data.TextEncoder;
import dev.performer.data.TextStream;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.serving.DecodingOptions;
import dev.performer.serving.GenerationSession;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Continues texts with a causal language model, one token at a time at constant cost.
 *
 * <pre>{@code
 * try (TextGenerator generator = TextGenerator.load(Path.of("lm"))) {
 *   System.out.println(generator.generate("MKT", GenerationOptions.DEFAULT.withMaxTokens(20)).text());
 *   generator.stream("MKT", GenerationOptions.DEFAULT, System.out::print); // as it comes
 * }
 * }</pre>
 *
 * <p>Special tokens never come, but for the end token where the model was trained with it. The same
 * seed gives the same text, whatever the batch. Safe for use by several threads.
 */
public final class TextGenerator implements AutoCloseable {
  private final GenerationSession session;
  private final Tokenizer tokenizer;
  private final Set<Integer> forbidden;

  private TextGenerator(Model model, Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
    session = GenerationSession.open(model.path());
    forbidden = forbidden(model, session.config().vocabularySize());
  }

  /** Loads a model, as {@link Model#open(Path)} takes it. */
  public static TextGenerator load(Path model) {
    return load(Model.open(model));
  }

  /**
   * Loads a model.
   *
   * @throws PerformerException if it cannot generate, or the meaning of its token ids is not known
   */
  public static TextGenerator load(Model model) {
    Tokenizer tokenizer =
        model
            .tokenizer()
            .orElseThrow(
                () ->
                    new PerformerException(
                        model.path()
                            + ": does not say what its token ids mean (no vocabulary in its card)"));
    return new TextGenerator(model, tokenizer);
  }

  /**
   * A text and how it went on.
   *
   * @param prompt as it was given
   * @param continuation what was generated
   * @param tokens its ids, without the end token
   * @param ended whether the model ended it itself
   */
  public record Generation(
      String prompt, String continuation, List<Integer> tokens, boolean ended) {
    /** Both together. */
    public String text() {
      return prompt + continuation;
    }
  }

  /** Hears of texts as they grow, in the thread that generates; what it throws ends generation. */
  public interface Listener {
    /**
     * @param prompt its number, from 0
     * @param piece what is certain now, often empty
     */
    default void text(int prompt, String piece) {}

    /** A text is whole; texts come in the order of their prompts. */
    default void done(Generation generation) {}
  }

  /** Continues a text. */
  public Generation generate(String prompt, GenerationOptions options) {
    return generate(List.of(prompt), options, new Listener() {}).get(0);
  }

  /** Continues a text and passes on what is new as it comes; what the receiver throws ends it. */
  public Generation stream(String prompt, GenerationOptions options, Consumer<String> receiver) {
    Listener listener =
        new Listener() {
          @Override
          public void text(int row, String piece) {
            receiver.accept(piece);
          }
        };
    return generate(List.of(prompt), options, listener).get(0);
  }

  /** Continues texts, in their order. */
  public List<Generation> generate(List<String> prompts, GenerationOptions options) {
    return generate(prompts, options, new Listener() {});
  }

  /**
   * Continues texts, in their order.
   *
   * @throws PerformerException if a prompt has letters that the vocabulary lacks, or is longer than
   *     the model's positions allow; nothing is generated then
   */
  public List<Generation> generate(
      List<String> prompts, GenerationOptions options, Listener listener) {
    List<int[]> ids = prompts.stream().map(this::encode).toList();
    int count = newTokens(options, ids);
    session.check(ids, count);
    List<TextStream> streams = ids.stream().map(row -> new TextStream(tokenizer, row)).toList();
    List<Generation> all = new ArrayList<>();
    int size = options.sampler().batch(Math.min(options.batch(), ids.size()), ids.size());
    DecodingOptions decoding =
        new DecodingOptions(count, options.sampler(), tokenizer.vocabulary().eos(), forbidden, 0);
    for (int first = 0; first < ids.size(); first += size) {
      int offset = first;
      StringBuilder[] texts = new StringBuilder[Math.min(size, ids.size() - first)];
      Arrays.setAll(texts, r -> new StringBuilder());
      List<GenerationSession.Continuation> done =
          session.generate(
              ids.subList(first, first + texts.length),
              decoding.withFirstRow(first),
              (row, token) -> {
                String piece = streams.get(offset + row).add(token);
                texts[row].append(piece);
                listener.text(offset + row, piece);
              });
      for (int r = 0; r < texts.length; r++) {
        String rest = streams.get(first + r).rest();
        listener.text(first + r, rest);
        GenerationSession.Continuation one = done.get(r);
        String text = texts[r].append(rest).toString();
        all.add(new Generation(prompts.get(first + r), text, one.tokens(), one.ended()));
        listener.done(all.get(first + r));
      }
    }
    return all;
  }

  private int newTokens(GenerationOptions options, List<int[]> ids) {
    int longest = ids.stream().mapToInt(prompt -> prompt.length).max().orElse(0);
    return options
        .maxTokens()
        .orElseGet(
            () -> Math.max(1, Math.min(GenerationOptions.DEFAULT_TOKENS, session.room(longest))));
  }

  /** A model that never saw the end token in training gives it a probability that means nothing. */
  private Set<Integer> forbidden(Model model, int size) {
    Vocabulary vocabulary = tokenizer.vocabulary();
    boolean ends =
        model
            .card()
            .map(ModelCard::data)
            .map(data -> data.path("end").asBoolean(true))
            .orElse(true);
    Set<Integer> ids = new HashSet<>();
    for (int id = 0; id < size; id++) {
      boolean isEnd = vocabulary.eos().isPresent() && vocabulary.eos().getAsInt() == id;
      if (id >= vocabulary.size() || vocabulary.isSpecial(id) && !(isEnd && ends)) {
        ids.add(id);
      }
    }
    return ids;
  }

  /** The begin token of the tokenizer stands before a prompt; its end token never behind it. */
  private int[] encode(String text) {
    TextEncoder any = tokenizer.encoder();
    int[] ids = any.encode(text);
    if (!(any instanceof ResidueEncoder encoder)) {
      return IntStream.concat(Arrays.stream(tokenizer.prefix()), Arrays.stream(ids)).toArray();
    }
    Vocabulary vocabulary = tokenizer.vocabulary();
    if (!encoder.unknown().isEmpty() || !encoder.dropped().isEmpty()) {
      Set<Character> letters = new LinkedHashSet<>(encoder.unknown().keySet());
      letters.addAll(encoder.dropped().keySet());
      throw new PerformerException(
          "the prompt '%s' has letters that the model's vocabulary lacks: %s; it has %s"
              .formatted(
                  text, letters, String.join("", vocabulary.decode(vocabulary.ordinaryIds()))));
    }
    return ids;
  }

  /** Frees the model. */
  @Override
  public void close() {
    session.close();
  }
}
