package dev.performer.serving;

import dev.performer.PerformerException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.IntStream;

/** The texts of a batch as they grow. */
final class GeneratedRows {
  private final List<int[]> prompts;
  private final int firstRow;
  private final List<List<Integer>> texts = new ArrayList<>();
  private final boolean[] ended;
  private final int[] chosen;
  private final int[] positions;

  /**
   * @param firstRow number of the first prompt, for messages
   * @param shift 1 where the model puts a begin token in front
   */
  GeneratedRows(List<int[]> prompts, int firstRow, int shift) {
    this.prompts = prompts;
    this.firstRow = firstRow;
    for (int[] prompt : prompts) {
      texts.add(new ArrayList<>(Arrays.stream(prompt).boxed().toList()));
    }
    ended = new boolean[prompts.size()];
    chosen = new int[prompts.size()];
    positions = prompts.stream().mapToInt(prompt -> prompt.length + shift).toArray();
  }

  /**
   * One token for each row that goes on.
   *
   * @param logits {@code [B, V]}
   * @throws PerformerException if a row has no choice; it names prompt and token
   */
  void choose(
      Sampler.Choice choice,
      float[] logits,
      OptionalInt end,
      Set<Integer> forbidden,
      GenerationSession.Listener listener) {
    int width = logits.length / ended.length;
    for (int r = 0; r < ended.length; r++) {
      if (ended[r]) {
        continue;
      }
      float[] own = Arrays.copyOfRange(logits, r * width, (r + 1) * width);
      List<Integer> text = texts.get(r);
      int token;
      try {
        token = choice.next(r, own, text, forbidden);
      } catch (PerformerException e) {
        throw new PerformerException(
            "new token %d of prompt %d: %s"
                .formatted(
                    text.size() - prompts.get(r).length + 1, firstRow + r + 1, e.getMessage()),
            e);
      }
      if (end.isPresent() && token == end.getAsInt()) {
        ended[r] = true;
      } else {
        chosen[r] = token;
        text.add(token);
        listener.token(r, token);
      }
    }
  }

  boolean allDone() {
    return IntStream.range(0, ended.length).allMatch(r -> ended[r]);
  }

  /** {@code [B]}; of ended rows some token that was there before. */
  int[] chosen() {
    return chosen;
  }

  /** Where the chosen tokens stand, {@code [B]}. */
  int[] positions() {
    return positions;
  }

  /** The chosen tokens were read. A row that is done stays within the positions. */
  void moveOn() {
    for (int r = 0; r < ended.length; r++) {
      positions[r] += ended[r] ? 0 : 1;
    }
  }

  List<GenerationSession.Continuation> continuations() {
    return IntStream.range(0, ended.length)
        .mapToObj(
            r -> {
              List<Integer> text = texts.get(r);
              return new GenerationSession.Continuation(
                  List.copyOf(text.subList(prompts.get(r).length, text.size())), ended[r]);
            })
        .toList();
  }
}
