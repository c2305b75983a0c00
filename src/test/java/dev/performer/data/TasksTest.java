package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class TasksTest {
  @Property(tries = 60)
  void copiesAreCopies(
      @ForAll @IntRange(min = 3, max = 200) int length,
      @ForAll @IntRange(min = 2, max = 30) int symbols,
      @ForAll long seed) {
    CopyTask task = new CopyTask(length, symbols, 10, seed);
    Example example = task.get(7);
    int[] tokens = example.tokens();
    int half = (length - 1) / 2;
    assertThat(tokens).hasSize(2 * half + 1);
    assertThat(Arrays.copyOfRange(tokens, 0, half))
        .isEqualTo(Arrays.copyOfRange(tokens, half + 1, 2 * half + 1));
    assertThat(Arrays.stream(tokens, 0, half)).allMatch(token -> token >= 0 && token < symbols);
    assertThat(task.vocabulary().tokens().get(tokens[half])).isEqualTo("<copy>");
    float[] weights = ((Label.Weights) example.label()).weights();
    for (int i = 0; i < weights.length; i++) {
      assertThat(weights[i]).isEqualTo(i > half ? 1f : 0f);
    }
    assertThat(new CopyTask(length, symbols, 10, seed).get(7).tokens()).isEqualTo(tokens);
  }

  @Property(tries = 100)
  void everyQuestionHasItsAnswerInTheFirstHalf(
      @ForAll @IntRange(min = 40, max = 300) int length,
      @ForAll @IntRange(min = 1, max = 9) int pairs,
      @ForAll @IntRange(min = 1, max = 9) int questions,
      @ForAll boolean records,
      @ForAll long seed) {
    int queried = Math.min(pairs, questions);
    RetrievalTask task = new RetrievalTask(length, pairs, records, queried, 12, 5, 3, 100, seed);
    Vocabulary vocabulary = task.vocabulary();
    Example example = task.get(3);
    int[] tokens = example.tokens();
    float[] weights = ((Label.Weights) example.label()).weights();
    assertThat(Arrays.stream(tokens))
        .hasSize(length)
        .allMatch(token -> token >= 0 && token < vocabulary.size());

    Map<Integer, Integer> answers = new HashMap<>();
    for (int i = 0; i < length / 2; i++) {
      if (records && tokens[i] >= 17 && tokens[i] < 17 + 12 * 5) {
        int record = tokens[i] - 17;
        assertThat(vocabulary.tokens().get(tokens[i]))
            .isEqualTo("k" + record / 5 + "v" + record % 5 + " ");
        assertThat(answers.put(record / 5, 12 + record % 5)).as("keys differ").isNull();
      } else if (tokens[i] < 17) {
        assertThat(records).as("keys and values of their own in the first half").isFalse();
        assertThat(i + 1).isLessThan(length / 2);
        assertThat(answers.put(tokens[i], tokens[i + 1])).as("keys differ").isNull();
        i++;
      }
    }
    assertThat(answers).hasSize(pairs);
    int start = length - 2 * queried;
    assertThat(vocabulary.tokens().get(tokens[start - 1])).isEqualTo("<ask>");
    Set<Integer> keys = new HashSet<>();
    for (int i = start; i < length; i += 2) {
      assertThat(tokens[i + 1]).isEqualTo(answers.get(tokens[i])).isBetween(12, 16);
      assertThat(weights[i]).isZero();
      assertThat(weights[i + 1]).isOne();
      assertThat(keys.add(tokens[i])).isTrue();
    }
    float sum = 0;
    for (float weight : weights) {
      sum += weight;
    }
    assertThat(sum).isEqualTo(queried);
  }

  @Property(tries = 60)
  void listsComeToTheirDigit(
      @ForAll @IntRange(min = 4, max = 400) int length,
      @ForAll @IntRange(min = 2, max = 10) int arguments,
      @ForAll long seed) {
    int depth = 10;
    ListOpsTask task = new ListOpsTask(length, depth, arguments, 10, seed);
    Vocabulary vocabulary = task.vocabulary();
    Example example = task.get(5);
    assertThat(example.tokens().length).isBetween(Math.max(1, length / 4), length);
    StringBuilder text = new StringBuilder();
    for (int token : example.tokens()) {
      text.append(vocabulary.tokens().get(token));
    }
    String[] words = text.toString().split(" ");
    assertThat(words).hasSize(example.tokens().length);
    Deque<List<String>> open = new ArrayDeque<>();
    String result = null;
    for (String word : words) {
      assertThat(result).as("one list").isNull();
      if (word.startsWith("[")) {
        open.push(new ArrayList<>(List.of(word)));
        assertThat(open.size()).isLessThanOrEqualTo(depth);
        continue;
      }
      String value = word.equals("]") ? come(open.pop(), arguments) : word;
      if (open.isEmpty()) {
        result = value;
      } else {
        open.peek().add(value);
      }
    }
    assertThat(open).isEmpty();
    assertThat(result).isEqualTo("" + ((Label.Category) example.label()).id());
    assertThat(new ListOpsTask(length, depth, arguments, 10, seed).get(5).tokens())
        .isEqualTo(example.tokens());
  }

  /** What an operation and its digits come to, by definition. */
  private static String come(List<String> list, int arguments) {
    var digits = list.subList(1, list.size()).stream().map(Integer::valueOf).sorted().toList();
    int n = digits.size();
    assertThat(n).isBetween(2, arguments);
    return switch (list.get(0)) {
      case "[MIN" -> "" + digits.get(0);
      case "[MAX" -> "" + digits.get(n - 1);
      case "[SM" -> "" + digits.stream().mapToInt(x -> x).sum() % 10;
      default ->
          "" + (n % 2 == 1 ? digits.get(n / 2) : (digits.get(n / 2 - 1) + digits.get(n / 2)) / 2);
    };
  }

  @Test
  void questionsAndPlacesHaveNoFavourites() {
    RetrievalTask task = new RetrievalTask(40, 4, false, 1, 4, 2, 1, 100_000, 5);
    int[] first = new int[20];
    int[] rank = new int[4];
    int examples = 4000;
    for (int index = 0; index < examples; index++) {
      int[] tokens = task.get(index).tokens();
      int queried = tokens[38];
      int order = 0;
      for (int i = 0; i < 20; i++) {
        if (tokens[i] < 4) {
          first[i]++;
          if (tokens[i] == queried) {
            rank[order]++;
          }
          order++;
        }
      }
    }
    assertThat(Arrays.stream(rank)).allMatch(count -> count > 850 && count < 1150);
    // 4 of 16 slots: the first place holds a key in a quarter of the examples, as the last one
    // does.
    assertThat(first[0]).isBetween(850, 1150);
    assertThat(first[18]).isBetween(850, 1150);
  }

  @Test
  void examplesOfOneSeedDifferAndThoseOfTwoSeedsToo() {
    Set<String> seen = new HashSet<>();
    for (long seed = 0; seed < 3; seed++) {
      CopyTask task = new CopyTask(65, 16, 1000, seed);
      for (int i = 0; i < 1000; i++) {
        assertThat(seen.add(Arrays.toString(task.get(i).tokens()))).isTrue();
      }
    }
  }

  @Test
  void impossibleTasksAreRefused() {
    assertThatThrownBy(() -> new ListOpsTask(2000, 2, 4, 10, 1))
        .hasMessageContaining("never have the 500 tokens");
    assertThatThrownBy(() -> new ListOpsTask(100, 0, 4, 10, 1)).hasMessageContaining("depth >= 1");
    assertThatThrownBy(() -> new CopyTask(2, 4, 10, 1))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new RetrievalTask(20, 6, false, 1, 8, 4, 1, 10, 1))
        .hasMessageContaining("too short for 6 pairs");
    assertThatThrownBy(() -> new RetrievalTask(200, 6, false, 7, 8, 4, 1, 10, 1))
        .hasMessageContaining("questions <= pairs");
    assertThatThrownBy(() -> new RetrievalTask(200, 6, true, 6, 2048, 1024, 1, 10, 1))
        .hasMessageContaining("found " + (2048 * 1024 + 2048 + 1024 + 1));
    assertThat(new RetrievalTask(200, 6, false, 6, 2048, 1024, 1, 10, 1).vocabulary().size())
        .isEqualTo(2048 + 1024 + 3);
  }
}
