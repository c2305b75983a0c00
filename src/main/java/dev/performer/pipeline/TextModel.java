package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.LetterTokenizer.ResidueEncoder;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.NextTokens;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.serving.GenerationSession;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * A loaded causal language model with its tokenizer: with states where it has the signatures for
 * that and its options name no other, else with whatever signature has logits.
 *
 * @param session of a loaded model that stays its owner's
 * @param forbidden tokens that never come
 * @param notes what was assumed, one line each
 */
record TextModel(
    GenerationSession session, Tokenizer tokenizer, Set<Integer> forbidden, List<String> notes) {
  /** Of a loaded model. @throws PerformerException if it cannot generate, or has no tokenizer */
  static TextModel of(Model model, SavedModelPredictor loaded) {
    var options = model.options();
    boolean isOwn = options.equals(ModelOptions.DEFAULT.withTokenizer(options.tokenizer()));
    boolean hasStates = model.signatures().containsKey(PerformerSignatures.STEP);
    if (!isOwn || !hasStates || model.config().isEmpty()) {
      LanguageModelSpec spec = model.continuation();
      PrefixModel prefix = new PrefixModel(loaded, spec);
      return of(model, GenerationSession.of(prefix), spec.tokenizer(), prefix.notes());
    }
    if (model.tokenizer().isEmpty()) {
      String missing = "%s: does not say what its token ids mean (no vocabulary in its card)";
      throw new PerformerException(missing.formatted(model.path())).settledBy("vocabulary");
    }
    return of(model, GenerationSession.of(loaded), model.tokenizer().get(), List.of());
  }

  private static TextModel of(
      Model model, GenerationSession session, Tokenizer tokenizer, List<String> notes) {
    boolean ends = model.card().map(ModelCard::learntEnd).orElse(true);
    var next = NextTokens.of(tokenizer.vocabulary(), ends, session.vocabularySize());
    return new TextModel(session, tokenizer, next.forbidden(), notes);
  }

  /** The begin token of the tokenizer stands before a prompt; its end token never behind it. */
  int[] encode(String text) {
    return IntStream.concat(Arrays.stream(begin()), Arrays.stream(more(text))).toArray();
  }

  /** What stands before every text. */
  private int[] begin() {
    return tokenizer.encoder() instanceof ResidueEncoder ? new int[0] : tokenizer.prefix();
  }

  /** The ids of a text that follows another. */
  int[] more(String text) {
    var encoder = tokenizer.encoder();
    int[] ids = encoder.encode(text);
    if (encoder instanceof ResidueEncoder residues) {
      Set<Character> unread = new HashSet<>(residues.unknown().keySet());
      unread.addAll(residues.dropped().keySet());
      List<String> lacking =
          text.codePoints()
              .mapToObj(Character::toString)
              .filter(letter -> unread.contains(letter.charAt(0)))
              .distinct()
              .toList();
      Vocabulary known = tokenizer.vocabulary();
      String found = "the prompt '%s' has letters that the model's vocabulary lacks: %s; it has %s";
      String letters = String.join("", known.decode(known.ordinaryIds()));
      require(lacking.isEmpty(), found, text, lacking, letters);
    }
    return ids;
  }

  /** How many tokens can follow prompts of so many, where no number is given. */
  int usualTokens(int longestPrompt) {
    return Math.max(1, Math.min(GenerationOptions.DEFAULT_TOKENS, session.room(longestPrompt)));
  }
}
