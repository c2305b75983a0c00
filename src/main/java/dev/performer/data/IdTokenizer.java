package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Texts that are token ids already, such as {@code 12 7 431}: for models whose tokenizer is
 * elsewhere. Nothing is known of padding, begin and end.
 *
 * @param size number of tokens; 0 where that is the model's to know
 */
public record IdTokenizer(int size) implements Tokenizer {
  public static final String NAME = "ids"; // ids:N has N tokens

  /** Whether a name is {@code ids} or {@code ids:N}. */
  public static boolean isNamed(String name) {
    return name.equals(NAME) || name.startsWith(NAME + ":");
  }

  /** The tokenizer of {@code ids} or {@code ids:N}. */
  public static IdTokenizer named(String name) {
    boolean isSized = name.matches(NAME + ":[1-9]\\d{0,7}");
    require(isSized || name.equals(NAME), "tokenizer '%s': expected ids, or ids:N of N ids", name);
    return new IdTokenizer(isSized ? Integer.parseInt(name.substring(NAME.length() + 1)) : 0);
  }

  @Override
  public String label() {
    return size == 0 ? NAME : NAME + ":" + size;
  }

  /** Numbers as tokens; one alone where it is not known how many there are. */
  @Override
  public Vocabulary vocabulary() {
    return Vocabulary.ofIds(Math.max(1, size), null);
  }

  @Override
  public TextEncoder encoder() {
    return text ->
        Arrays.stream(text.split("[\\s,]+"))
            .filter(word -> !word.isEmpty())
            .mapToInt(IdTokenizer::id)
            .toArray();
  }

  private static int id(String word) {
    String text = "'%s' is no token id; texts are numbers here, such as 12 7 431";
    require(word.matches("\\d{1,9}"), text, word);
    return Integer.parseInt(word);
  }

  @Override
  public String decode(int[] ids) {
    return IntStream.of(ids).mapToObj(Integer::toString).collect(Collectors.joining(" "));
  }

  @Override
  public int[] suffix() {
    return new int[0];
  }
}
