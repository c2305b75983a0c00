package dev.performer.data;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Nested lists of digits under minimum, maximum, median (rounded down) and sum modulo 10, such as
 * {@code [MAX 2 9 [MIN 4 7 ] 0 ]}, and the digit that they come to: ListOps as Long Range Arena has
 * it: one and a half lists within each on average, which of 2 to 10 arguments is a quarter. Each
 * example comes from the seed and its number alone.
 *
 * @param length tokens of an example at most; the least is a quarter of it
 * @param depth lists within each other at most, the outermost included
 * @param arguments of an operation at most, 2 at least
 * @see <a href="https://arxiv.org/abs/2011.04006">Long Range Arena, section 2.2.1</a>
 */
public record ListOpsTask(int length, int depth, int arguments, long size, long seed)
    implements MadeUpExamples {
  /** The digits that an example may come to. */
  public static final int CLASSES = 10;

  private static final int PURPOSE = 103;
  private static final double LISTS_WITHIN = 1.5;
  private static final int SHORTEST_SHARE = 4;
  private static final int MOST_TRIALS = 1_000_000;
  private static final List<String> OPERATIONS = List.of("[MIN", "[MAX", "[MED", "[SM");
  private static final int END = CLASSES + OPERATIONS.size();

  public ListOpsTask {
    if (length < 4 || depth < 1 || arguments < 2 || size < 1) {
      throw new IllegalArgumentException(
          "expected length >= 4, depth >= 1, arguments >= 2, size >= 1: "
              + List.of(length, depth, arguments, size));
    }
    double longest = 0; // one list within another, as many as there may be
    for (int i = 0; i < depth && longest < length; i++) {
      longest = 2 + arguments * Math.max(1, longest);
    }
    if (longest < length / SHORTEST_SHARE) {
      throw new IllegalArgumentException(
          "lists of depth %d and %d arguments never have the %d tokens of length %d / %d"
              .formatted(depth, arguments, length / SHORTEST_SHARE, length, SHORTEST_SHARE));
    }
  }

  /** Digits, operations with the bracket that opens them, the one that closes, padding. */
  @Override
  public Vocabulary vocabulary() {
    var digits = IntStream.range(0, CLASSES).mapToObj(digit -> digit + " ");
    var operations = OPERATIONS.stream().map(operation -> operation + " ");
    return Vocabulary.of(Stream.concat(digits, operations), "] ", "<pad>");
  }

  @Override
  public String name() {
    return "ListOps task";
  }

  @Override
  public Example get(long index) {
    SplittableRandom random = Seeds.random(seed, PURPOSE, index);
    for (int trial = 0; trial < MOST_TRIALS; trial++) {
      Writer writer = new Writer(random);
      int value = writer.list(1);
      if (value >= 0 && writer.count >= Math.max(1, length / SHORTEST_SHARE)) {
        int[] tokens = Arrays.copyOf(writer.tokens, writer.count);
        return new Example(tokens, new Label.Category(value));
      }
    }
    String text = "no list of %d to %d tokens in %d trials; allow more depth or arguments";
    throw new IllegalArgumentException(
        text.formatted(length / SHORTEST_SHARE, length, MOST_TRIALS));
  }

  /** One trial, which ends where the example gets too long. */
  private final class Writer {
    private final SplittableRandom random;
    private final int[] tokens = new int[length];
    private final double share = LISTS_WITHIN / ((2 + arguments) / 2.0);
    private int count;

    Writer(SplittableRandom random) {
      this.random = random;
    }

    private boolean write(int token) {
      boolean fits = count < length;
      if (fits) {
        tokens[count++] = token;
      }
      return fits;
    }

    /** An operation and its arguments; what they come to, −1 where they do not fit. */
    private int list(int level) {
      int operation = random.nextInt(OPERATIONS.size());
      int[] values = new int[2 + random.nextInt(arguments - 1)];
      boolean fits = write(CLASSES + operation);
      for (int i = 0; i < values.length && fits; i++) {
        boolean isList = level < depth && random.nextDouble() < share;
        values[i] = isList ? list(level + 1) : random.nextInt(CLASSES);
        fits = values[i] >= 0 && (isList || write(values[i]));
      }
      return fits && write(END) ? value(operation, values) : -1;
    }
  }

  private static int value(int operation, int[] values) {
    Arrays.sort(values);
    int n = values.length;
    return switch (operation) {
      case 0 -> values[0];
      case 1 -> values[n - 1];
      case 2 -> (values[(n - 1) / 2] + values[n / 2]) / 2;
      default -> IntStream.of(values).sum() % CLASSES;
    };
  }
}
