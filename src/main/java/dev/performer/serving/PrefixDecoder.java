package dev.performer.serving;

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
  public Texts begin(List<int[]> prompts) {
    List<int[]> texts = new ArrayList<>(prompts);
    boolean[] ended = new boolean[texts.size()];
    return new Texts() {
      @Override
      public float[] logits() {
        int[] open = IntStream.range(0, ended.length).filter(r -> !ended[r]).toArray();
        float[] some = model.after(IntStream.of(open).mapToObj(texts::get).toList());
        if (open.length == ended.length) {
          return some;
        }
        int width = some.length / open.length;
        float[] all = new float[ended.length * width];
        for (int i = 0; i < open.length; i++) {
          System.arraycopy(some, i * width, all, open[i] * width, width);
        }
        return all;
      }

      @Override
      public void add(int[] tokens, boolean[] now) {
        System.arraycopy(now, 0, ended, 0, now.length);
        for (int r = 0; r < tokens.length; r++) {
          if (!ended[r]) {
            int[] longer = Arrays.copyOf(texts.get(r), texts.get(r).length + 1);
            longer[longer.length - 1] = tokens[r];
            texts.set(r, longer);
          }
        }
      }
    };
  }
}
