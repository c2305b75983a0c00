package dev.performer.data;

import static dev.performer.PerformerException.require;

import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * T5's objective for an encoder and a decoder: random spans of a sequence are replaced by one
 * sentinel each; the target is the sentinels, each with what it stands for, and one more.
 *
 * @param rate share of the tokens that are in spans
 * @param meanSpan mean tokens of a span
 * @param firstSentinel id of the first of the {@code sentinels}, which follow one another
 * @see <a href="https://arxiv.org/abs/1910.10683">Exploring the limits of transfer learning,
 *     section 3.1.4; random_spans_noise_mask</a>
 */
public record SpanCorruption(double rate, double meanSpan, int firstSentinel, int sentinels) {
  public static final double DEFAULT_RATE = 0.15; // T5's
  public static final double DEFAULT_MEAN_SPAN = 3; // T5's
  private static final int PURPOSE = 6;
  private static final String NO_SENTINELS =
      "the vocabulary has no sentinels <extra_id_0>, <extra_id_1>, … in a row";

  /** What encoder and decoder see. */
  public record Corrupted(int[] inputs, int[] targets) {}

  /** With T5's rate and spans, and the sentinels that {@link #withSentinels} added. */
  public static SpanCorruption of(Vocabulary extended) {
    List<String> tokens = extended.tokens();
    int first = tokens.indexOf(sentinel(0));
    require(first >= 0, NO_SENTINELS);
    IntStream places = IntStream.range(first, tokens.size());
    long count = places.takeWhile(i -> tokens.get(i).equals(sentinel(i - first))).count();
    require(count > 1, NO_SENTINELS);
    return new SpanCorruption(DEFAULT_RATE, DEFAULT_MEAN_SPAN, first, (int) count);
  }

  /** Whether a vocabulary has sentinels of its own. */
  public static boolean hasSentinels(Vocabulary vocabulary) {
    return vocabulary.tokens().contains(sentinel(0));
  }

  /** A vocabulary with sentinels {@code <extra_id_0>}, … at its end. */
  public static Vocabulary withSentinels(Vocabulary vocabulary, int count) {
    var v = vocabulary;
    var sentinels = Vocabulary.numbered("<extra_id_", ">", count);
    List<String> tokens = Stream.concat(v.tokens().stream(), sentinels).toList();
    return new Vocabulary(tokens, v.pad(), v.mask(), v.bos(), v.eos(), v.unknown());
  }

  /**
   * Corrupts each row of a batch, padded to the {@link #inputLength} of the batch's length, so that
   * batches of one length stay so; labels of the result are the targets. What happens to a row
   * depends on the seed, the step and its key alone. A row of one token stays as it is.
   */
  public TokenBatch apply(TokenBatch batch, int pad, long seed, long step) {
    List<TokenBatch.Row> rows = new ArrayList<>();
    for (int row = 0; row < batch.rows(); row++) {
      int start = row * batch.length();
      int[] tokens = Arrays.copyOfRange(batch.tokens(), start, start + batch.lengths()[row]);
      long key = batch.keys()[row];
      var made = corrupt(tokens, Seeds.random(seed, step, key, PURPOSE));
      rows.add(new TokenBatch.Row(made.inputs(), new Label.Target(made.targets()), key));
    }
    return TokenBatch.padded(rows, inputLength(batch.length()), pad, batch.position());
  }

  /** How many of so many tokens are in spans. */
  private int noise(int tokens) {
    return tokens < 2 ? 0 : (int) Math.min(Math.max(Math.round(tokens * rate), 1), tokens - 1);
  }

  /** In how many spans they are. */
  public int spans(int tokens) {
    int noise = noise(tokens);
    int most = Math.min(Math.min(noise, tokens - noise), sentinels - 1);
    return (int) Math.min(Math.max(Math.round(noise / meanSpan), 1), most);
  }

  /** Tokens that are left of so many, with a sentinel for each span; no less for more. */
  public int inputLength(int tokens) {
    return tokens - noise(tokens) + spans(tokens);
  }

  /** Tokens of the target for so many; no less for more. */
  public int targetLength(int tokens) {
    return noise(tokens) + spans(tokens) + 1;
  }

  /** Corrupts a sequence; the first token is never in a span, the last always is. */
  public Corrupted corrupt(int[] tokens, SplittableRandom random) {
    int spans = spans(tokens.length);
    int[] noise = segments(noise(tokens.length), spans, random);
    int[] kept = segments(tokens.length - noise(tokens.length), spans, random);
    IntBuffer inputs = IntBuffer.allocate(inputLength(tokens.length));
    IntBuffer targets = IntBuffer.allocate(targetLength(tokens.length));
    int from = 0;
    for (int span = 0; span < spans; span++) {
      inputs.put(tokens, from, kept[span]).put(firstSentinel + span);
      from += kept[span];
      targets.put(firstSentinel + span).put(tokens, from, noise[span]);
      from += noise[span];
    }
    inputs.put(tokens, from, tokens.length - from); // without a span, all of it
    targets.put(firstSentinel + spans);
    return new Corrupted(inputs.array(), targets.array());
  }

  /** Cuts into parts of at least 1, all ways equally likely. */
  private static int[] segments(int total, int parts, SplittableRandom random) {
    int[] lengths = new int[parts];
    // A random subset of the total-1 places where a cut may be (selection sampling).
    int part = -1;
    for (int place = 0; place < total && parts > 0; place++) {
      if (place == 0 || random.nextInt(total - place) < parts - 1 - part) {
        part++;
      }
      lengths[part]++;
    }
    return lengths;
  }

  private static String sentinel(int i) {
    return "<extra_id_" + i + ">";
  }
}
