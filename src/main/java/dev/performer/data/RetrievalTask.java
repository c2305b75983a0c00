package dev.performer.data;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Associative recall: among filler stand pairs of a key and a value; at the end some of the keys
 * are queried, in any order, and only the values that follow them count. Pairs are in the first
 * half, questions at the end, so no window shorter than about half the length can solve it. Each
 * example comes from the seed and its number alone.
 *
 * <p>Where a pair is two tokens, a model has to find out which value comes after which key, by
 * positions or by a layer that looks one token back; with one token it only has to select.
 *
 * @param records whether a pair is one token, of {@code keys * values} different ones
 */
public record RetrievalTask(
    int length,
    int pairs,
    boolean records,
    int questions,
    int keys,
    int values,
    int fillers,
    long size,
    long seed)
    implements MadeUpExamples {
  private static final int PURPOSE = 102;
  private static final int MOST_TOKENS = 1 << 20;

  public RetrievalTask {
    boolean isSound = questions >= 1 && questions <= pairs && pairs <= keys;
    if (!isSound || values < 2 || fillers < 1 || size < 1) {
      throw new IllegalArgumentException(
          "expected 1 <= questions <= pairs <= keys, values >= 2, fillers >= 1, size >= 1: "
              + List.of(questions, pairs, keys, values, fillers, size));
    }
    long tokens = (long) keys + values + fillers + (records ? (long) keys * values : 0);
    if (tokens > MOST_TOKENS) {
      throw new IllegalArgumentException(
          "expected at most " + MOST_TOKENS + " different tokens, found " + tokens);
    }
    if (length / 2 < (records ? 1 : 2) * pairs || length - length / 2 < 2 * questions + 1) {
      String tooShort = "length %s is too short for %s pairs and %s questions";
      throw new IllegalArgumentException(tooShort.formatted(length, pairs, questions));
    }
  }

  private int firstFiller() {
    return keys + values + (records ? keys * values : 0);
  }

  /** Keys, values, records if there are any, filler, the sign that questions follow, padding. */
  @Override
  public Vocabulary vocabulary() {
    var pairs =
        Vocabulary.numbered("k", "", records ? keys : 0)
            .flatMap(key -> Vocabulary.numbered(key + "v", " ", values));
    var names =
        Stream.of(
            Vocabulary.numbered("k", " ", keys),
            Vocabulary.numbered("v", " ", values),
            pairs,
            Vocabulary.numbered("f", " ", fillers));
    return Vocabulary.of(names.flatMap(all -> all), "<ask>", "<pad>");
  }

  @Override
  public String name() {
    return "retrieval task";
  }

  @Override
  public Example get(long index) {
    SplittableRandom random = Seeds.random(seed, PURPOSE, index);
    int[] tokens = new int[length];
    float[] weights = new float[length];
    for (int i = 0; i < length; i++) {
      tokens[i] = firstFiller() + random.nextInt(fillers);
    }
    int[] queried = shuffled(keys, pairs, random);
    int[] answers = new int[pairs];
    int[] places = places(random);
    for (int i = 0; i < pairs; i++) {
      int value = random.nextInt(values);
      answers[i] = keys + value;
      if (records) {
        tokens[places[i]] = keys + values + queried[i] * values + value;
      } else {
        tokens[places[i]] = queried[i];
        tokens[places[i] + 1] = answers[i];
      }
    }
    int at = length - 2 * questions - 1;
    tokens[at++] = firstFiller() + fillers;
    for (int i : shuffled(pairs, questions, random)) {
      tokens[at++] = queried[i];
      tokens[at] = answers[i];
      weights[at++] = 1;
    }
    return new Example(tokens, new Label.Weights(weights));
  }

  /** Where pairs begin: in the first half, never overlapping, all arrangements equally likely. */
  private int[] places(SplittableRandom random) {
    // Pairs shrunk to one token each: choose which of the slots they are, then stretch.
    int stretch = records ? 0 : 1;
    int slots = length / 2 - stretch * pairs;
    int[] chosen = shuffled(slots, pairs, random);
    Arrays.sort(chosen);
    for (int i = 0; i < pairs; i++) {
      chosen[i] += stretch * i;
    }
    return chosen;
  }

  /** The first {@code count} of a random order of {@code 0 … n-1}. */
  private static int[] shuffled(int n, int count, SplittableRandom random) {
    int[] all = IntStream.range(0, n).toArray();
    for (int i = 0; i < count; i++) {
      int j = i + random.nextInt(n - i);
      int swapped = all[i];
      all[i] = all[j];
      all[j] = swapped;
    }
    return Arrays.copyOf(all, count);
  }
}
