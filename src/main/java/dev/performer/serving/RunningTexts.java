package dev.performer.serving;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/** The texts of one batch, which grow by a token in each step. */
final class RunningTexts {
  private final Decoder decoder;
  private List<ScheduledText> texts = new ArrayList<>();
  private Decoder.Batch batch; // null for no texts

  /** Takes the logits behind what is read of a text; the supplier gives a state of that. */
  interface Taker {
    void take(ScheduledText text, float[] logits, Supplier<TextState> states);
  }

  RunningTexts(Decoder decoder) {
    this.decoder = decoder;
  }

  /** All, of which some may be over. */
  List<ScheduledText> texts() {
    return texts;
  }

  /** Takes texts in; those that are over leave. States are copied only where texts come or go. */
  void join(List<ScheduledText> more) {
    int[] kept = IntStream.range(0, texts.size()).filter(r -> !texts.get(r).over()).toArray();
    if (kept.length == texts.size() && more.isEmpty()) {
      return;
    }
    Decoder.Batch before = batch;
    batch = null;
    List<ScheduledText> all = new ArrayList<>();
    IntStream.of(kept).forEach(r -> all.add(texts.get(r)));
    all.addAll(more);
    try {
      if (!all.isEmpty()) {
        batch = decoder.join(before, kept, more.stream().map(ScheduledText::state).toList());
      } else if (before != null) {
        before.close();
      }
      more.forEach(ScheduledText::leave);
      texts = all;
    } catch (RuntimeException | OutOfMemoryError e) {
      fail(all, e);
      texts = new ArrayList<>();
    }
  }

  /** One more token of each text; none may be over. */
  void step(Taker taker) {
    float[] logits;
    try {
      logits = batch.step(texts.stream().mapToInt(ScheduledText::next).toArray());
    } catch (RuntimeException | OutOfMemoryError e) {
      fail(texts, e);
      join(List.of());
      return;
    }
    int width = logits.length / texts.size();
    for (int r = 0; r < texts.size(); r++) {
      ScheduledText text = texts.get(r);
      text.step();
      int row = r;
      float[] own = Arrays.copyOfRange(logits, r * width, (r + 1) * width);
      taker.take(text, own, () -> batch.take(row, text.readIds()));
    }
    if (texts.stream().allMatch(ScheduledText::over)) {
      join(List.of());
    }
  }

  private static void fail(List<ScheduledText> some, Throwable e) {
    some.forEach(text -> text.fail(TokenScheduler.failure(e)));
  }
}
