package dev.performer.training;

import dev.performer.data.ProteinSequence;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SequenceSource;
import dev.performer.data.Vocabulary;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/**
 * A small language model for tests: embeddings of a token and its neighbours (the earlier one only,
 * if causal), a hidden layer, logits. And a language it can learn.
 */
public final class TinyModel {
  static final Vocabulary VOCABULARY = ProteinVocabulary.google();
  private static final int WIDTH = 16;
  private static final int HIDDEN = 48;

  private TinyModel() {}

  static LanguageModel causal(Graph graph) {
    return build(graph, true);
  }

  static LanguageModel masked(Graph graph) {
    return build(graph, false);
  }

  private static LanguageModel build(Graph graph, boolean causal) {
    Ops tf = Ops.create(graph);
    Variables variables = new Variables(tf);
    int v = VOCABULARY.size();
    var tokens = tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(-1, -1)));
    var mask = tf.placeholder(TInt64.class, Placeholder.shape(Shape.of(-1, -1)));
    Variable embedding = weights(tf, variables, "embedding", 1, v, WIDTH);
    int neighbours = causal ? 2 : 3;
    Variable kernel = weights(tf, variables, "hidden/kernel", 2, neighbours * WIDTH, HIDDEN);
    Variable bias = weights(tf, variables, "hidden/bias", 3, HIDDEN);
    Variable head = weights(tf, variables, "head/kernel", 4, HIDDEN, v);
    weights(tf, variables, "forgotten/kernel", 5, 3, 3);

    Operand<TFloat32> table = embedding.read(tf);
    var x = tf.gather(table, tokens, tf.constant(0)); // [B, L, E]
    var keep = tf.expandDims(tf.dtypes.cast(mask, TFloat32.class), tf.constant(-1));
    Operand<TFloat32> seen = tf.math.mul(x, keep);
    List<Operand<TFloat32>> parts = new ArrayList<>(List.of(seen, shift(tf, seen, 1)));
    if (!causal) {
      parts.add(shift(tf, seen, -1));
    }
    Operand<TFloat32> joined = tf.concat(parts, tf.constant(2)); // [B, L, 2E or 3E]
    var flat = tf.reshape(joined, tf.constant(new int[] {-1, neighbours * WIDTH}));
    var hidden =
        tf.math.tanh(
            tf.math.add(
                tf.linalg.matMul(flat, kernel.<TFloat32>read(tf)), bias.<TFloat32>read(tf)));
    var logits = tf.linalg.matMul(hidden, head.<TFloat32>read(tf)); // [B*L, V]
    var shape = tf.concat(List.of(tf.shape(tokens), tf.constant(new int[] {v})), tf.constant(0));
    Output<TFloat32> out = tf.reshape(logits, shape).asOutput(); // [B, L, V]
    return new LanguageModel(
        graph,
        tokens.asOutput(),
        Optional.of(mask.asOutput()),
        Map.of(),
        out,
        variables.all(),
        variables::initialize);
  }

  /** Moves [B, L, E] along L and fills with zeros. */
  private static Operand<TFloat32> shift(Ops tf, Operand<TFloat32> x, int by) {
    int[][] pads = {{0, 0}, {Math.max(by, 0), Math.max(-by, 0)}, {0, 0}};
    var padded = tf.pad(x, tf.constant(pads), tf.constant(0f));
    var begin = tf.constant(new int[] {0, Math.max(-by, 0), 0});
    return tf.slice(padded, begin, tf.shape(x));
  }

  private static Variable weights(
      Ops tf, Variables variables, String name, long seed, long... shape) {
    long n = 1;
    for (long d : shape) {
      n *= d;
    }
    SplittableRandom random = new SplittableRandom(seed);
    float[] values = new float[(int) n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) ((random.nextDouble() - 0.5) * 0.4);
    }
    var initial = tf.reshape(tf.constant(values), tf.constant(shape));
    return variables.create(name, Shape.of(shape), true, initial);
  }

  /** Each letter is followed by the next but two in nine of ten cases, else by any. */
  public static SequenceSource language(int sequences, long seed) {
    String letters = "ACDEFGHIKLMNPQRSTVWY";
    SplittableRandom random = new SplittableRandom(seed);
    List<ProteinSequence> result = new ArrayList<>();
    for (int i = 0; i < sequences; i++) {
      StringBuilder text = new StringBuilder();
      int at = random.nextInt(20);
      int length = 20 + random.nextInt(40);
      for (int j = 0; j < length; j++) {
        text.append(letters.charAt(at));
        at = random.nextInt(10) == 0 ? random.nextInt(20) : (at + 3) % 20;
      }
      result.add(new ProteinSequence("s" + i, "", text.toString()));
    }
    return SequenceSource.of(result);
  }

  static FineTuneOptions.Data data() {
    return new FineTuneOptions.Data(VOCABULARY, language(300, 1), language(60, 2));
  }
}
