package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The second halves of sequences, guessed with less before them: windows of {@code context} tokens,
 * of which the second half counts, so that every guess has between {@code context / 2} and {@code
 * context} tokens before it. The guesses are the same for every context. A batch is the windows of
 * one sequence.
 *
 * @param whole batches of which the last {@code longest} tokens of each row are taken; rows that
 *     are shorter are left out
 * @param limit of these batches that are read; 0 for all
 * @param longest tokens of a sequence, a multiple of {@code context}
 * @param context tokens of a window, an even number
 */
public record ContextBatches(Batches whole, int limit, int longest, int context)
    implements Batches {
  /** Checks that windows cover the second half. */
  public ContextBatches {
    boolean isEven = context >= 2 && context % 2 == 0;
    require(isEven, "a context must be an even number of tokens, 2 or more, not %d", context);
    String text = "contexts must divide the longest of them: %d is no multiple of %d";
    require(longest % context == 0, text, longest, context);
  }

  /** Of all batches. */
  public ContextBatches(Batches whole, int longest, int context) {
    this(whole, 0, longest, context);
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
    long[] read = {index};
    ArrayDeque<TokenBatch> sequences = new ArrayDeque<>();
    return DataStream.of(
        () -> {
          boolean isLimited = limit > 0;
          while (sequences.isEmpty() && (!isLimited || read[0]++ < limit) && all.hasNext()) {
            TokenBatch batch = all.next();
            for (int row = 0; row < batch.rows(); row++) {
              if (batch.lengths()[row] >= longest) {
                sequences.add(windows(batch, row));
              }
            }
          }
          return sequences.poll();
        },
        all::close);
  }

  private TokenBatch windows(TokenBatch batch, int row) {
    List<TokenBatch.Row> rows = new ArrayList<>();
    float[] all = batch.weights();
    int end = row * batch.length() + batch.lengths()[row];
    for (int from = end - (longest + context) / 2; from + context <= end; from += context / 2) {
      int[] tokens = Arrays.copyOfRange(batch.tokens(), from, from + context);
      float[] weights = Arrays.copyOfRange(all, from, from + context);
      Arrays.fill(weights, 0, context / 2, 0);
      rows.add(new TokenBatch.Row(tokens, new Label.Weights(weights), batch.keys()[row]));
    }
    return TokenBatch.padded(rows, context, 0, batch.position());
  }

  /** Bytes of the text that is guessed; empty where tokens are no text. */
  public OptionalLong bytes(Tokenizer tokenizer) {
    if (!tokenizer.writesText()) {
      return OptionalLong.empty();
    }
    long bytes = 0;
    try (DataStream<TokenBatch> all = new ContextBatches(whole, limit, longest, longest).epoch(0)) {
      while (all.hasNext()) {
        int[] tokens = all.next().tokens();
        // What stands before may decide how a token is written.
        bytes += bytes(tokenizer, tokens) - bytes(tokenizer, Arrays.copyOf(tokens, longest / 2));
      }
    }
    return OptionalLong.of(bytes);
  }

  private static long bytes(Tokenizer tokenizer, int[] tokens) {
    return tokenizer.decode(tokens).getBytes(StandardCharsets.UTF_8).length;
  }

  @Override
  public Optional<String> reportOnce() {
    return whole.reportOnce();
  }
}
