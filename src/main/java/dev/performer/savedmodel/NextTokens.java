package dev.performer.savedmodel;

import dev.performer.data.Vocabulary;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Which tokens may follow a text: no special ones but the end token, where the model was trained
 * with it. One that never saw it in training gives it a probability that means nothing.
 *
 * @param end the token that ends a text; empty for none
 * @param forbidden tokens that never come
 */
public record NextTokens(OptionalInt end, Set<Integer> forbidden) {
  public NextTokens {
    forbidden = Set.copyOf(forbidden);
  }

  /** As a model's card has it; where no vocabulary is known, all may follow. */
  static NextTokens of(ModelCard card, int size) {
    return card.vocabulary() == null
        ? new NextTokens(OptionalInt.empty(), Set.of())
        : of(CardTokenizer.of(card.vocabulary()).vocabulary(), card.learntEnd(), size);
  }

  /** Of a model that has logits for so many tokens, and learnt the end or not. */
  public static NextTokens of(Vocabulary vocabulary, boolean learntEnd, int size) {
    OptionalInt end = learntEnd ? vocabulary.eos() : OptionalInt.empty();
    var never =
        IntStream.range(0, size)
            .filter(id -> id >= vocabulary.size() || vocabulary.isSpecial(id))
            .filter(id -> end.isEmpty() || id != end.getAsInt());
    return new NextTokens(end, never.boxed().collect(Collectors.toSet()));
  }
}
