package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
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
    List<String> names = arrays(file);
    List<int[]> rows = new ArrayList<>();
    try (NpzRows all = new NpzRows(file, names)) {
      for (NpyArray[] row = all.next(); row != null; row = all.next()) {
        try {
          rows.add(NpzRows.ids(row[0], names.size() == 1 ? null : row[1], pad));
        } catch (PerformerException e) {
          throw e.in(file + ", row " + rows.size());
        }
      }
    }
    return rows;
  }

  /** The names of the array of ids and, if there is one, of its mask; [N, L] both. */
  static List<String> arrays(Path file) {
    Map<String, NpyHeader> all = NpzRows.headers(file);
    String only = all.size() == 1 ? all.keySet().iterator().next() : TOKENS;
    String name = only.equals(MASK) ? TOKENS : only;
    NpyHeader tokens = all.get(name);
    String there = Excerpt.names(all.keySet());
    require(tokens != null, "%s: has no array '%s' [N, L]; it has [%s]", file, name, there);
    long[] shape = tokens.shape();
    String shown = tokens.type().label() + Excerpt.of(Arrays.toString(shape));
    require(shape.length == 2, "%s: %s is %s, expected [N, L]", file, name, shown);
    require(shape[0] * shape[1] > 0, "%s: holds no sequence", file);
    NpyHeader mask = all.get(MASK);
    boolean isSame = mask == null || Arrays.equals(shape, mask.shape());
    String differs = "%s: mask is %s, tokens are %s";
    Object real = mask == null ? null : Arrays.toString(mask.shape());
    require(isSame, differs, file, real, Arrays.toString(shape));
    return mask == null ? List.of(name) : List.of(name, MASK);
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
    var held = IntStream.range(0, rows.size()).filter(i -> i % every == 0).mapToObj(rows::get);
    var rest = IntStream.range(0, rows.size()).filter(i -> i % every != 0).mapToObj(rows::get);
    return List.of(
        new TokenRows(name + ", held out", held.toList(), List.of()),
        new TokenRows(name, rest.toList(), notes));
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
      var other =
          IntStream.of(rows.get(i)).filter(id -> id < 0 || id >= vocabularySize).findFirst();
      String unknown = "%s: sequence %d has the token id %d; the model knows 0 to %d";
      require(other.isEmpty(), unknown, name, i, other.orElse(0), vocabularySize - 1);
    }
  }

  static int[] whole(NpyArray array, String name) {
    if (array.type() == NpyType.INT32) {
      return array.ints();
    }
    double[] values = array.doubles();
    var other = DoubleStream.of(values).filter(x -> (int) x != x).findFirst(); // NaN too
    require(other.isEmpty(), "%s holds %s, expected whole numbers", name, other.orElse(0));
    return DoubleStream.of(values).mapToInt(x -> (int) x).toArray();
  }

  /**
   * Batches of {@link TokenRows}: sequences of like length together, as many as fit into a number
   * of tokens, padding included. The order depends on seed and epoch alone.
   *
   * @param vocabulary null where it is not known what ids mean
   * @param tokens of a batch at most, unless one sequence has more
   * @param fixedLength all batches are padded to at least this
   */
  public record RowBatches(
      TokenRows data, Vocabulary vocabulary, int pad, int tokens, int fixedLength, long seed)
      implements Batches {
    private static final int ORDER = 11;
    private static final int BATCH_ORDER = 12;
    private static final int WINDOW = 64; // batches' worth, within which like lengths come together

    @Override
    public String name() {
      return data.name();
    }

    /** Every sequence once, the longest first; for evaluation. */
    public List<TokenBatch> inOrder() {
      return split(numbers()).stream().map(rows -> pack(rows, BatchPosition.START)).toList();
    }

    @Override
    public DataStream<TokenBatch> epoch(long epoch, long index) {
      List<Integer> order = new ArrayList<>(numbers());
      Seeds.shuffle(order, Seeds.random(seed, epoch, ORDER));
      double mean = data.rows().stream().mapToInt(row -> row.length).average().orElseThrow();
      int window = (int) Math.max(1, Math.min(order.size(), WINDOW * (tokens / mean)));
      List<List<Integer>> batches = new ArrayList<>();
      for (int from = 0; from < order.size(); from += window) {
        batches.addAll(split(order.subList(from, Math.min(order.size(), from + window))));
      }
      Seeds.shuffle(batches, Seeds.random(seed, epoch, BATCH_ORDER));
      return DataStream.of(
          LongStream.range(index, batches.size())
              .mapToObj(i -> pack(batches.get((int) i), new BatchPosition(epoch, i)))
              .iterator());
    }

    private List<Integer> numbers() {
      return IntStream.range(0, data.rows().size()).boxed().toList();
    }

    private List<List<Integer>> split(List<Integer> numbers) {
      var longestFirst =
          numbers.stream()
              .sorted(Comparator.comparingInt(i -> -data.rows().get(i).length))
              .toList();
      return TokenBatch.split(longestFirst, i -> Math.max(1, tokens / padded(i)));
    }

    private int padded(int row) {
      return Math.max(fixedLength, data.rows().get(row).length);
    }

    private TokenBatch pack(List<Integer> numbers, BatchPosition position) {
      List<TokenBatch.Row> batch = new ArrayList<>();
      for (int i : numbers) {
        long key = Seeds.mix(seed, position.epoch(), i);
        batch.add(new TokenBatch.Row(data.rows().get(i), Label.NONE, key));
      }
      return TokenBatch.padded(batch, padded(numbers.get(0)), pad, position);
    }
  }
}
