package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Sequences in memory, without padding, none empty, and lines on what was not taken as it stood.
 */
public record TokenRows(String name, List<int[]> rows, List<String> notes) {
  public static final String TOKENS = "tokens"; // the array of ids, [N, L]
  public static final String MASK = "mask"; // the array that is 1 where an id is real, [N, L]

  /** Copies the lists, and refuses none. */
  public TokenRows {
    require(!rows.isEmpty(), "%s: holds no sequence", name);
    rows = List.copyOf(rows);
    notes = List.copyOf(notes);
  }

  /**
   * Reads {@code tokens} and perhaps {@code mask} of an {@code .npz}; without a mask, ids of
   * padding at the end of a row are padding.
   */
  public static TokenRows npz(Path file, OptionalInt pad) {
    List<int[]> all = read(file, pad);
    List<int[]> rows = all.stream().filter(row -> row.length > 0).toList();
    int empty = all.size() - rows.size();
    String note = "%s: %d rows without a token are left out".formatted(file, empty);
    return new TokenRows(file.toString(), rows, empty == 0 ? List.of() : List.of(note));
  }

  /** The same rows, also those without a token; where there is but one array, it is the ids. */
  static List<int[]> read(Path file, OptionalInt pad) {
    Map<String, NpyArray> arrays = Npz.read(file);
    String only = arrays.size() == 1 ? arrays.keySet().iterator().next() : TOKENS;
    String name = only.equals(MASK) ? TOKENS : only;
    int[] tokens = whole(file, name, arrays);
    if (tokens.length == 0) {
      return List.of(); // however many rows of nothing there are
    }
    NpyArray all = arrays.get(name);
    NpyArray real = arrays.get(MASK);
    int[] mask = real == null ? null : whole(file, MASK, arrays);
    boolean isSame = real == null || Arrays.equals(all.shape(), real.shape());
    require(isSame, "%s: mask is %s, tokens %s", file, real, all);
    int length = (int) all.shape()[1];
    List<int[]> rows = new ArrayList<>();
    for (int from = 0; from < tokens.length; from += length) {
      int end = from + length;
      while (end > from
          && (mask == null ? pad.equals(OptionalInt.of(tokens[end - 1])) : mask[end - 1] == 0)) {
        end--;
      }
      for (int i = from; mask != null && i < end; i++) {
        if (mask[i] != 1) {
          throw new PerformerException(
              "%s: row %d of mask holds %d at %d; expected ones and then zeros: padding stands at the end"
                  .formatted(file, rows.size(), mask[i], i - from));
        }
      }
      rows.add(Arrays.copyOfRange(tokens, from, end));
    }
    return rows;
  }

  /** The same with longer sequences cut at their ends, and a note of how many these are. */
  public TokenRows cropped(int length) {
    long longer = rows.stream().filter(row -> row.length > length).count();
    if (longer == 0) {
      return this;
    }
    String note =
        "%s: %d of %d sequences are longer than %d tokens and are cropped"
            .formatted(name, longer, rows.size(), length);
    var all = rows.stream().map(row -> Arrays.copyOf(row, Math.min(row.length, length))).toList();
    return new TokenRows(name, all, Stream.concat(notes.stream(), Stream.of(note)).toList());
  }

  /** The first of every so many sequences, at least 2, held out, and the others. */
  public List<TokenRows> split(int every) {
    if (rows.size() == 1) {
      throw new PerformerException(
              name + ": one sequence cannot be split in two; give other ones for validation")
          .settledBy("validation");
    }
    List<int[]> held = new ArrayList<>();
    List<int[]> rest = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      (i % every == 0 ? held : rest).add(rows.get(i));
    }
    return List.of(
        new TokenRows(name + ", held out", held, List.of()), new TokenRows(name, rest, notes));
  }

  /** At most so many of the sequences, evenly spread. */
  public TokenRows atMost(int count) {
    long all = rows.size();
    var some = IntStream.range(0, count).mapToObj(i -> rows.get((int) (i * all / count)));
    return all <= count ? this : new TokenRows(name, some.toList(), notes);
  }

  /** Refuses an id that is none of a vocabulary of that size. */
  public void requireIdsBelow(int vocabularySize) {
    for (int i = 0; i < rows.size(); i++) {
      for (int id : rows.get(i)) {
        if (id < 0 || id >= vocabularySize) {
          throw new PerformerException(
              "%s: sequence %d has the token id %d; the model knows 0 to %d"
                  .formatted(name, i, id, vocabularySize - 1));
        }
      }
    }
  }

  private static int[] whole(Path file, String name, Map<String, NpyArray> arrays) {
    NpyArray array = arrays.get(name);
    String there = Excerpt.names(arrays.keySet());
    require(array != null, "%s: has no array '%s' [N, L]; it has [%s]", file, name, there);
    String shown = Excerpt.of(array.toString());
    require(array.shape().length == 2, "%s: %s is %s, expected [N, L]", file, name, shown);
    double[] values = array.doubles();
    int[] whole = new int[values.length];
    for (int i = 0; i < values.length; i++) {
      whole[i] = (int) values[i];
      if (whole[i] != values[i]) { // NaN too
        throw new PerformerException(
            file + ": " + name + " holds " + values[i] + ", expected whole numbers");
      }
    }
    return whole;
  }
}
