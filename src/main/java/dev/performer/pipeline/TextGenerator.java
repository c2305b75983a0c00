package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.TextStream;
import dev.performer.data.Tokenizer;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.serving.DecodingOptions;
import dev.performer.serving.GenerationSession;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Continues texts with a causal language model, one token at a time: at constant cost where it has
 * states, else reading the whole text for each.
 *
 * <p>Special tokens never come, but for the end token where the model was trained with it. The same
 * seed gives the same text, whatever the batch. Safe for use by several threads.
 */
public final class TextGenerator implements AutoCloseable {
  private final SavedModelPredictor loaded;
  private final TextModel texts;

  private TextGenerator(SavedModelPredictor loaded, TextModel texts) {
    this.loaded = loaded;
    this.texts = texts;
  }

  /** Loads a model, as {@link Model#open(Path)} takes it. */
  public static TextGenerator load(Path model) {
    return load(Model.open(model));
  }

  /**
   * Loads a model: with states where it has the signatures for that and its options name no other,
   * else with whatever signature has logits.
   *
   * @throws PerformerException if it cannot generate, or has no tokenizer
   */
  public static TextGenerator load(Model model) {
    var loaded = SavedModelPredictor.load(model.directory(), SavedModelPredictor.TIMEOUT);
    try {
      return new TextGenerator(loaded, TextModel.of(model, loaded));
    } catch (RuntimeException e) {
      loaded.close();
      throw e;
    }
  }

  /** What was assumed of a model that does not say it, and what that costs, one line each. */
  public List<String> notes() {
    return texts.notes();
  }

  /**
   * A text, how it went on, with which ids but the end's and the model's log-probability of each in
   * nats, and whether the model ended it itself.
   */
  public record Generation(
      String prompt,
      String continuation,
      List<Integer> tokens,
      List<Double> logProbabilities,
      boolean ended) {
    /** Both together. */
    public String text() {
      return prompt + continuation;
    }
  }

  /** Hears of texts as they grow, in the thread that generates; what it throws ends generation. */
  public interface Listener {
    /** A piece of the continuation of a prompt, counted from 0, is certain now; it may be empty. */
    default void text(int prompt, String piece) {}

    /** A text is whole; texts come in the order of their prompts. */
    default void done(Generation generation) {}
  }

  /** Continues a text. */
  public Generation generate(String prompt, GenerationOptions options) {
    return generate(List.of(prompt), options).get(0);
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
    List<int[]> ids = prompts.stream().map(texts::encode).toList();
    int longest = ids.stream().mapToInt(prompt -> prompt.length).max().orElse(0);
    int count = options.maxTokens().orElse(texts.usualTokens(longest));
    GenerationSession session = texts.session();
    Tokenizer tokenizer = texts.tokenizer();
    session.check(ids, count);
    List<TextStream> streams = ids.stream().map(row -> new TextStream(tokenizer, row)).toList();
    List<StringBuilder> written = ids.stream().map(row -> new StringBuilder()).toList();
    List<Generation> all = new ArrayList<>();
    int size = options.sampler().batch(Math.min(options.batch(), ids.size()), ids.size());
    var end = tokenizer.vocabulary().eos();
    var decoding = new DecodingOptions(count, options.sampler(), end, texts.forbidden(), 0);
    while (all.size() < ids.size()) {
      int first = all.size();
      List<int[]> part = ids.subList(first, Math.min(ids.size(), first + size));
      GenerationSession.Listener grow =
          (row, token) -> {
            String piece = streams.get(first + row).add(token);
            written.get(first + row).append(piece);
            listener.text(first + row, piece);
          };
      for (var one : session.generate(part, decoding.withFirstRow(first), grow)) {
        int row = all.size();
        String rest = streams.get(row).rest();
        listener.text(row, rest);
        String text = written.get(row).append(rest).toString();
        all.add(
            new Generation(
                prompts.get(row), text, one.tokens(), one.logProbabilities(), one.ended()));
        listener.done(all.get(row));
      }
    }
    return all;
  }

  /** Frees the model. */
  @Override
  public void close() {
    texts.session().close();
    loaded.close();
  }
}
