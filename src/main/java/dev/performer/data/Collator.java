package dev.performer.data;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ToIntFunction;

/** Examples cropped, with their ends, and put together as the rows of a batch. */
record Collator(Vocabulary vocabulary, Batching batching) {
  private static final int CROP = 2;

  /** A row before padding, and the number that its random choices come from. */
  record Row(int[] tokens, Label label, long key) {}

  /** The example with its ends, cut to the length: from the start, or anywhere in training. */
  Row crop(Example example, long key) {
    int[] ids = example.tokens();
    int begin = batching.prependBos() ? 1 : 0;
    int total = begin + ids.length + (batching.appendEos() ? 1 : 0);
    int length = Math.min(total, batching.length());
    int start = 0;
    if (batching.randomCrop() && total > length) {
      start = Seeds.random(key, CROP).nextInt(total - length + 1);
    }
    int[] result = new int[length];
    for (int i = 0; i < length; i++) {
      int at = start + i - begin;
      result[i] =
          at < 0
              ? vocabulary.bos().getAsInt()
              : at < ids.length ? ids[at] : vocabulary.eos().getAsInt();
    }
    return new Row(result, crop(example.label(), start - begin, length), key);
  }

  /** Ends count nothing where tokens have weights. */
  private static Label crop(Label label, int from, int length) {
    if (!(label instanceof Label.Weights weighted)) {
      return label;
    }
    float[] all = weighted.weights();
    float[] cropped = new float[length];
    for (int i = 0; i < length; i++) {
      int at = from + i;
      cropped[i] = at >= 0 && at < all.length ? all[at] : 0;
    }
    return new Label.Weights(cropped);
  }

  /** Rows padded to the length of the longest, rounded up as the batching has it. */
  TokenBatch batch(List<Row> rows, BatchPosition position) {
    int longest = rows.stream().mapToInt(row -> row.tokens.length).max().orElseThrow();
    return TokenBatch.padded(
        rows.stream().map(Row::tokens).toList(),
        batching.paddedLength(longest),
        vocabulary.pad().orElse(0),
        rows.stream().mapToLong(Row::key).toArray(),
        position,
        rows.stream().map(Row::label).toList());
  }

  /** Batches of as many rows as there may be of the length of their first. */
  static <T> List<List<T>> split(List<T> longestFirst, ToIntFunction<T> rows) {
    List<List<T>> batches = new ArrayList<>();
    for (int from = 0; from < longestFirst.size(); ) {
      int to = Math.min(longestFirst.size(), from + rows.applyAsInt(longestFirst.get(from)));
      batches.add(longestFirst.subList(from, to));
      from = to;
    }
    return batches;
  }
}
