package dev.performer.serving;

import dev.performer.PerformerException;
import dev.performer.serving.GenerationSession.Continuation;
import dev.performer.serving.GenerationSession.Listener;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** The texts of a batch as they grow. */
final class GeneratedRows {
  private final List<int[]> prompts;
  private final DecodingOptions options;
  private final Listener listener;
  private final Sampler.Choice choice;
  private final List<List<Integer>> texts = new ArrayList<>();
  private final boolean[] ended;
  private final int[] chosen;
  private final int[] positions;

  /**
   * @param shift 1 where the model puts a begin token in front
   */
  GeneratedRows(List<int[]> prompts, DecodingOptions options, int shift, Listener listener) {
    this.prompts = prompts;
    this.options = options;
    this.listener = listener;
    choice = options.sampler().begin(options.firstRow(), prompts.size());
    for (int[] prompt : prompts) {
      texts.add(Arrays.stream(prompt).boxed().collect(Collectors.toCollection(ArrayList::new)));
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
  void choose(float[] logits) {
    int width = logits.length / ended.length;
    for (int r = 0; r < ended.length; r++) {
      if (ended[r]) {
        continue;
      }
      int token = next(r, Arrays.copyOfRange(logits, r * width, (r + 1) * width));
      ended[r] = options.end().isPresent() && token == options.end().getAsInt();
      if (!ended[r]) {
        chosen[r] = token;
        texts.get(r).add(token);
        listener.token(r, token);
      }
    }
  }

  private int next(int row, float[] logits) {
    List<Integer> text = texts.get(row);
    try {
      return choice.next(row, logits, text, options.forbidden());
    } catch (PerformerException e) {
      int number = text.size() - prompts.get(row).length + 1;
      throw e.in("new token %d of prompt %d".formatted(number, options.firstRow() + row + 1));
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

  List<Continuation> continuations() {
    return IntStream.range(0, ended.length).mapToObj(this::continuation).toList();
  }

  private Continuation continuation(int row) {
    List<Integer> text = texts.get(row);
    return new Continuation(
        List.copyOf(text.subList(prompts.get(row).length, text.size())), ended[row]);
  }
}
