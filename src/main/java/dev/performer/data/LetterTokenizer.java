package dev.performer.data;

import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * One letter, one token, as protein models have it; the end token stands behind whole sequences.
 */
public record LetterTokenizer(String label, Vocabulary vocabulary) implements Tokenizer {
  public LetterTokenizer(Vocabulary vocabulary) {
    this("single letters", vocabulary);
  }

  @Override
  public ResidueEncoder encoder() {
    return new ResidueEncoder(vocabulary);
  }

  @Override
  public String decode(int[] ids) {
    return vocabulary.decode(IntStream.of(ids).filter(id -> !vocabulary.isSpecial(id)).toArray());
  }

  @Override
  public int[] suffix() {
    return vocabulary.eos().stream().toArray();
  }

  /**
   * Turns residue letters into token ids, and never fails: lower case counts as upper case where
   * the vocabulary lacks it, gaps and stops ({@code - . * ~}) are left out, any other letter that
   * the vocabulary lacks becomes its unknown token (or is left out if it has none). A letter never
   * becomes a special token. Not for use by several threads.
   */
  public static final class ResidueEncoder implements TextEncoder {
    private static final String GAPS = "-.*~";
    private static final int DROP = -1;

    private final int[] ids = new int[128];
    private final boolean[] known = new boolean[128];
    private final Map<Character, Long> unknown = new TreeMap<>();
    private final Map<Character, Long> dropped = new TreeMap<>();
    private final int unknownId;

    public ResidueEncoder(Vocabulary vocabulary) {
      Map<String, Integer> tokens = vocabulary.ordinaryTokens();
      unknownId = vocabulary.unknown().orElse(DROP);
      for (int c = 0; c < ids.length; c++) {
        String letter = Character.toString(c);
        Integer id = tokens.getOrDefault(letter, tokens.get(letter.toUpperCase(Locale.ROOT)));
        known[c] = id != null;
        ids[c] = id != null ? id : GAPS.indexOf(c) >= 0 ? DROP : unknownId;
      }
    }

    @Override
    public int[] encode(String residues) {
      int[] result = new int[residues.length()];
      int length = 0;
      for (int i = 0; i < residues.length(); i++) {
        char c = residues.charAt(i);
        int id = c < ids.length ? ids[c] : unknownId;
        if (c >= ids.length || !known[c]) {
          (id == DROP ? dropped : unknown).merge(c, 1L, Long::sum);
        }
        if (id != DROP) {
          result[length++] = id;
        }
      }
      return length == result.length ? result : Arrays.copyOf(result, length);
    }

    /** Letters that became the unknown token, and how often. */
    public Map<Character, Long> unknown() {
      return Map.copyOf(unknown);
    }

    /** Letters that were left out, and how often. */
    public Map<Character, Long> dropped() {
      return Map.copyOf(dropped);
    }

    @Override
    public Optional<String> report() {
      var parts =
          Stream.of(
              list("letters outside the vocabulary, read as unknown: ", unknown),
              list("gaps, stops and letters left out: ", dropped));
      return parts.filter(part -> !part.isEmpty()).reduce((first, second) -> first + "; " + second);
    }

    private static String list(String what, Map<Character, Long> counts) {
      var letters = counts.entrySet().stream().map(e -> "'" + e.getKey() + "' × " + e.getValue());
      return counts.isEmpty() ? "" : what + String.join(", ", letters.toList());
    }
  }
}
