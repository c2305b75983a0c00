package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.LetterTokenizer.ResidueEncoder;
import dev.performer.data.TextStream;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.serving.DecodingOptions;
import dev.performer.serving.GenerationSession;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Continues texts with a causal language model, one token at a time: at constant cost where it has
 * states, else reading the whole text for each.
 *
 * <p>Special tokens never come, but for the end token where the model was trained with it. The same
 * seed gives the same text, whatever the batch. Safe for use by several threads.
 */
public final class TextGenerator implements AutoCloseable {
  private final GenerationSession session;
  private final Optional<PrefixModel> prefix;
  private final Tokenizer tokenizer;
  private final Set<Integer> forbidden;

  private TextGenerator(Model model, Optional<PrefixModel> prefix, Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
    this.prefix = prefix;
    session =
        prefix.isPresent()
            ? GenerationSession.of(prefix.get())
            : GenerationSession.open(model.path());
    forbidden = forbidden(model, tokenizer.vocabulary(), session.vocabularySize());
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
    var options = model.options();
    boolean isOwn = options.equals(ModelOptions.DEFAULT.withTokenizer(options.tokenizer()));
    boolean hasStates = model.signatures().containsKey(PerformerSignatures.STEP);
    if (!isOwn || !hasStates || model.config().isEmpty()) {
      LanguageModelSpec spec = model.continuation();
      return new TextGenerator(model, Optional.of(PrefixModel.load(spec)), spec.tokenizer());
    }
    if (model.tokenizer().isEmpty()) {
      String missing = "%s: does not say what its token ids mean (no vocabulary in its card)";
      throw new PerformerException(missing.formatted(model.path())).settledBy("vocabulary");
    }
    return new TextGenerator(model, Optional.empty(), model.tokenizer().get());
  }

  /** What was assumed of a model that does not say it, and what that costs, one line each. */
  public List<String> notes() {
    return prefix.map(PrefixModel::notes).orElse(List.of());
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
    List<int[]> ids = prompts.stream().map(this::encode).toList();
    int longest = ids.stream().mapToInt(prompt -> prompt.length).max().orElse(0);
    int usual = Math.max(1, Math.min(GenerationOptions.DEFAULT_TOKENS, session.room(longest)));
    int count = options.maxTokens().orElse(usual);
    session.check(ids, count);
    List<TextStream> streams = ids.stream().map(row -> new TextStream(tokenizer, row)).toList();
    List<StringBuilder> texts = ids.stream().map(row -> new StringBuilder()).toList();
    List<Generation> all = new ArrayList<>();
    int size = options.sampler().batch(Math.min(options.batch(), ids.size()), ids.size());
    var end = tokenizer.vocabulary().eos();
    var decoding = new DecodingOptions(count, options.sampler(), end, forbidden, 0);
    while (all.size() < ids.size()) {
      int first = all.size();
      List<int[]> part = ids.subList(first, Math.min(ids.size(), first + size));
      GenerationSession.Listener grow =
          (row, token) -> {
            String piece = streams.get(first + row).add(token);
            texts.get(first + row).append(piece);
            listener.text(first + row, piece);
          };
      for (var one : session.generate(part, decoding.withFirstRow(first), grow)) {
        int row = all.size();
        String rest = streams.get(row).rest();
        listener.text(row, rest);
        String text = texts.get(row).append(rest).toString();
        all.add(
            new Generation(
                prompts.get(row), text, one.tokens(), one.logProbabilities(), one.ended()));
        listener.done(all.get(row));
      }
    }
    return all;
  }

  /** A model that never saw the end token in training gives it a probability that means nothing. */
  private static Set<Integer> forbidden(Model model, Vocabulary vocabulary, int size) {
    boolean ends = model.card().map(ModelCard::learntEnd).orElse(true);
    int end = ends ? vocabulary.eos().orElse(-1) : -1;
    return IntStream.range(0, size)
        .filter(id -> id >= vocabulary.size() || vocabulary.isSpecial(id) && id != end)
        .boxed()
        .collect(Collectors.toSet());
  }

  /** The begin token of the tokenizer stands before a prompt; its end token never behind it. */
  private int[] encode(String text) {
    var encoder = tokenizer.encoder();
    int[] ids = encoder.encode(text);
    if (!(encoder instanceof ResidueEncoder residues)) {
      return IntStream.concat(Arrays.stream(tokenizer.prefix()), Arrays.stream(ids)).toArray();
    }
    Set<Character> lacking = new LinkedHashSet<>(residues.unknown().keySet());
    lacking.addAll(residues.dropped().keySet());
    Vocabulary known = tokenizer.vocabulary();
    String found = "the prompt '%s' has letters that the model's vocabulary lacks: %s; it has %s";
    String letters = String.join("", known.decode(known.ordinaryIds()));
    require(lacking.isEmpty(), found, text, lacking, letters);
    return ids;
  }

  /** Frees the model. */
  @Override
  public void close() {
    session.close();
    prefix.ifPresent(PrefixModel::close);
  }
}
