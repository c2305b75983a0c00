package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The second halves of sequences, guessed with less before them: windows of {@code context} tokens,
 * of which the second half counts, so that every guess has between {@code context / 2} and {@code
 * context} tokens before it. The guesses are the same for every context.
 *
 * @param whole batches of which the last {@code longest} tokens of each row are taken; rows that
 *     are shorter are left out
 * @param longest tokens of a sequence, a multiple of {@code context}
 * @param context tokens of a window, an even number
 */
public record ContextBatches(Batches whole, int longest, int context) implements Batches {
  /** Checks that windows cover the second half. */
  public ContextBatches {
    boolean isEven = context >= 2 && context % 2 == 0;
    require(isEven, "a context must be an even number of tokens, 2 or more, not %d", context);
    String text = "contexts must divide the longest of them: %d is no multiple of %d";
    require(longest % context == 0, text, longest, context);
  }

  @Override
  public String name() {
    return whole.name();
  }

  @Override
  public Vocabulary vocabulary() {
    return whole.vocabulary();
  }

  @Override
  public DataStream<TokenBatch> epoch(long epoch, long index) {
    DataStream<TokenBatch> all = whole.epoch(epoch, index);
    return DataStream.of(
        () -> {
          TokenBatch windows = null;
          while (all.hasNext() && windows == null) {
            TokenBatch batch = all.next();
            boolean isAny = Arrays.stream(batch.lengths()).anyMatch(l -> l >= longest);
            windows = isAny ? windows(batch) : null;
          }
          return windows;
        },
        all::close);
  }

  private TokenBatch windows(TokenBatch batch) {
    List<TokenBatch.Row> rows = new ArrayList<>();
    float[] all = batch.weights();
    for (int row = 0; row < batch.rows(); row++) {
      int end = row * batch.length() + batch.lengths()[row];
      boolean isWhole = batch.lengths()[row] >= longest;
      for (int from = end - (longest + context) / 2; isWhole && from + context <= end; ) {
        int[] tokens = Arrays.copyOfRange(batch.tokens(), from, from + context);
        float[] weights = Arrays.copyOfRange(all, from, from + context);
        Arrays.fill(weights, 0, context / 2, 0);
        rows.add(new TokenBatch.Row(tokens, new Label.Weights(weights), batch.keys()[row]));
        from += context / 2;
      }
    }
    return TokenBatch.padded(rows, context, 0, batch.position());
  }

  @Override
  public Optional<String> reportOnce() {
    return whole.reportOnce();
  }
}
