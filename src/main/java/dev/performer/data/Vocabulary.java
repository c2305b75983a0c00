package dev.performer.data;

import dev.performer.Excerpt;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The tokens a model knows, each once; a token's id is its place in the list. {@code pad} fills up
 * short sequences, {@code mask} stands where a masked language model has to guess, {@code bos}
 * begins and {@code eos} ends a sequence, {@code unknown} stands for letters that are no tokens.
 */
public record Vocabulary(
    List<String> tokens,
    OptionalInt pad,
    OptionalInt mask,
    OptionalInt bos,
    OptionalInt eos,
    OptionalInt unknown) {
  /** Refuses tokens that occur twice, and ids out of range. */
  public Vocabulary {
    tokens = List.copyOf(tokens);
    if (tokens.isEmpty() || new HashSet<>(tokens).size() != tokens.size()) {
      throw new IllegalArgumentException(
          "a vocabulary needs tokens that differ: [" + Excerpt.names(tokens) + "]");
    }
    for (OptionalInt id : List.of(pad, mask, bos, eos, unknown)) {
      if (id.orElse(0) < 0 || id.orElse(0) >= tokens.size()) {
        throw new IllegalArgumentException(
            "special token id " + id.getAsInt() + " is outside 0.." + (tokens.size() - 1));
      }
    }
  }

  /** Special tokens are given by their text; null or absent means there is none. */
  public static Vocabulary of(
      List<String> tokens, String pad, String mask, String bos, String eos, String unknown) {
    var ids = Stream.of(pad, mask, bos, eos, unknown).map(token -> find(tokens, token)).toList();
    return new Vocabulary(tokens, ids.get(0), ids.get(1), ids.get(2), ids.get(3), ids.get(4));
  }

  /** Nothing is known but the size, and perhaps padding: tokens are called as their ids. */
  public static Vocabulary ofIds(int size, Integer pad) {
    OptionalInt none = OptionalInt.empty();
    OptionalInt padding = pad == null ? none : OptionalInt.of(pad);
    return new Vocabulary(numbered("", "", size).toList(), padding, none, none, none, none);
  }

  /** Tokens that differ by a number from 0 between two texts. */
  static Stream<String> numbered(String before, String after, int count) {
    return IntStream.range(0, count).mapToObj(i -> before + i + after);
  }

  /** Numbered tokens, and signs behind them: padding, begin, or others. */
  static Vocabulary of(Stream<String> numbered, String... signs) {
    List<String> tokens = Stream.concat(numbered, Stream.of(signs)).toList();
    return of(tokens, "<pad>", null, "<bos>", null, null);
  }

  /** Number of tokens. */
  public int size() {
    return tokens.size();
  }

  /** Whether the id is padding, mask, begin or end: never written by a text, never guessed. */
  public boolean isSpecial(int id) {
    return is(pad, id) || is(mask, id) || is(bos, id) || is(eos, id);
  }

  /** The ids that are not {@linkplain #isSpecial special}, in ascending order. */
  public int[] ordinaryIds() {
    return IntStream.range(0, size()).filter(id -> !isSpecial(id)).toArray();
  }

  /** From the text of every ordinary token to its id. */
  public Map<String, Integer> ordinaryTokens() {
    return IntStream.of(ordinaryIds()).boxed().collect(Collectors.toMap(tokens::get, id -> id));
  }

  /** The text of a sequence of ids. @throws IndexOutOfBoundsException for an id out of range */
  public String decode(int[] ids) {
    return IntStream.of(ids).mapToObj(tokens::get).collect(Collectors.joining());
  }

  private static boolean is(OptionalInt special, int id) {
    return special.isPresent() && special.getAsInt() == id;
  }

  private static OptionalInt find(List<String> tokens, String token) {
    int id = token == null ? -1 : tokens.indexOf(token);
    return id < 0 ? OptionalInt.empty() : OptionalInt.of(id);
  }
}
