package dev.performer.serving;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/** The whole text for each new token: a token's cost grows with what stands before it. */
record PrefixDecoder(PrefixLogits model) implements Decoder {
  @Override
  public Limits limits() {
    return new Limits(
        model.vocabularySize(), OptionalInt.empty(), model.positions(), model.startsItself());
  }

  @Override
  public boolean hasStates() {
    return false;
  }

  @Override
  public int chunk(int wished, boolean isBeginning) {
    return Integer.MAX_VALUE;
  }

  @Override
  public boolean readsTogether() {
    return true;
  }

  @Override
  public List<TextState> read(List<TextState> before, List<int[]> tokens) {
    var rows = IntStream.range(0, tokens.size());
    var texts = rows.mapToObj(r -> TextState.joined(before.get(r), tokens.get(r))).toList();
    float[] logits = model.after(texts);
    return IntStream.range(0, texts.size())
        .mapToObj(r -> new TextState(texts.get(r), row(logits, r, texts.size()), null))
        .toList();
  }

  private static float[] row(float[] logits, int row, int rows) {
    int width = logits.length / rows;
    return Arrays.copyOfRange(logits, row * width, (row + 1) * width);
  }

  @Override
  public Batch join(Batch before, int[] kept, List<TextState> more) {
    List<int[]> texts = new ArrayList<>();
    for (int row : kept) {
      texts.add(((Texts) before).texts.get(row));
    }
    more.forEach(text -> texts.add(text.ids()));
    return new Texts(texts);
  }

  @Override
  public TextState restore(int[] ids, float[] logits, StateFile.Source source) throws IOException {
    source.none();
    return new TextState(ids, logits, null);
  }

  private final class Texts implements Batch {
    private final List<int[]> texts;
    private float[] logits;

    private Texts(List<int[]> texts) {
      this.texts = texts;
    }

    @Override
    public float[] step(int[] tokens) {
      for (int r = 0; r < tokens.length; r++) {
        int[] longer = Arrays.copyOf(texts.get(r), texts.get(r).length + 1);
        longer[longer.length - 1] = tokens[r];
        texts.set(r, longer);
      }
      logits = model.after(texts);
      return logits;
    }

    @Override
    public TextState take(int row, int[] ids) {
      return new TextState(ids, row(logits, row, texts.size()), null);
    }

    @Override
    public void close() {}
  }
}
