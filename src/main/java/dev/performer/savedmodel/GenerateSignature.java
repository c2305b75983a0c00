package dev.performer.savedmodel;

import static dev.performer.savedmodel.PerformerSignatures.LENGTHS;
import static dev.performer.savedmodel.PerformerSignatures.LOG_PROBABILITIES;
import static dev.performer.savedmodel.PerformerSignatures.TOKENS;

import dev.performer.graph.Algebra;
import dev.performer.graph.Loop;
import dev.performer.graph.Variable;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.RecurrentDecoder;
import dev.performer.savedmodel.PerformerSignatures.Signature;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.op.core.ReduceAny;
import org.tensorflow.op.core.ReduceMax;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;
import org.tensorflow.types.family.TNumber;
import org.tensorflow.types.family.TType;

/**
 * {@code generate}: prompts {@code [B, T]}, rows filled up at their end, of {@code lengths} {@code
 * [B]}, to the tokens that follow, in one call: {@code tokens} {@code [B, N]}, {@code
 * log_probabilities} {@code [B, N]} in nats as the model gives them, {@code lengths} {@code [B]}. N
 * is {@code max_new_tokens}. A text ends with the end token, which {@code tokens} have and {@code
 * lengths} do not count, where the model's vocabulary has one; after so many tokens; or where the
 * model has no more positions. Behind it is padding. The loop stops when all texts have ended.
 *
 * <p>{@code max_new_tokens}, {@code temperature} (0 takes the most likely token), {@code top_k} (0
 * for all), {@code top_p} (1 for all) and {@code seed} (int64) are one number for all rows or one
 * for each, {@code [B]}. With one seed, a row's tokens depend on the seed, its number and its
 * prompt, with a seed each on its seed and prompt: not on the rest of the batch.
 */
final class GenerateSignature {
  private static final String DRAWN = "drawn";
  private static final String ACTIVE = "active";
  private static final String LAST = "last";
  private static final String LIMIT = "limit";
  private static final String FIRST = "first_position";
  private static final String RANDOM = "random";

  private final PerformerConfig config;
  private final NextTokens next;
  private final int filler;

  private GenerateSignature(PerformerConfig config, NextTokens next, int filler) {
    this.config = config;
    this.next = next;
    this.filler = filler;
  }

  /** The signature of a model, whose decoder reads in the same graph. */
  static Signature build(PerformerSignatures graph, RecurrentDecoder decoder, NextTokens next) {
    PerformerConfig config = graph.config();
    Set<Integer> never = new HashSet<>(next.forbidden());
    if (config.padId() != null) {
      never.add(config.padId());
    }
    int filler = config.padId() != null ? config.padId() : next.end().orElse(0);
    var own = new GenerateSignature(config, new NextTokens(next.end(), never), filler);
    return own.build(graph, decoder);
  }

  private Signature build(PerformerSignatures graph, RecurrentDecoder decoder) {
    Ops tf = graph.tf();
    Operand<TInt32> tokens = graph.ints(-1, -1);
    Operand<TInt32> lengths = graph.ints(-1);
    Map<String, Operand<?>> inputs = new LinkedHashMap<>();
    inputs.put(TOKENS, tokens);
    inputs.put(LENGTHS, lengths);
    Operand<TInt32> rows = Algebra.sizes(tf, tokens, 0, 1); // [1]
    var most = option(tf, inputs, "max_new_tokens", TInt32.class);
    var seed = option(tf, inputs, "seed", TInt64.class);
    var random = TokenChoice.random(tf, seed, rows);
    TokenChoice choice =
        new TokenChoice(
            each(tf, option(tf, inputs, "temperature", TFloat32.class), rows),
            each(tf, option(tf, inputs, "top_k", TInt32.class), rows),
            each(tf, option(tf, inputs, "top_p", TFloat32.class), rows),
            random);
    int shift = config.shiftBos() == null ? 0 : 1;
    Operand<TInt32> first = tf.math.add(lengths, tf.constant(shift)); // [B]
    Operand<TInt32> limit = limit(tf, each(tf, most, rows), first);
    var longest = tf.reduceMax(tf.reshape(most, tf.array(-1)), tf.array(0), noOptions());
    Operand<TInt32> width = tf.math.maximum(longest, tf.constant(0)); // N
    var read = decoder.prefill(tf, tokens, lengths);
    var start = new Texts(tf, rows, tf.math.maximum(width, tf.constant(1)), limit);
    Map<String, Operand<?>> carried = new LinkedHashMap<>();
    carried.put(DRAWN, tf.constant(1));
    carried.put(LIMIT, limit);
    carried.put(FIRST, first);
    carried.put("temperature", choice.temperature());
    carried.put("top_k", choice.topK());
    carried.put("top_p", choice.topP());
    carried.put(RANDOM, random);
    carried.putAll(start.after(tf, choice, read.logits(), tf.constant(0), limit));
    carried.putAll(read.states());
    Map<String, Variable> weights = new LinkedHashMap<>();
    for (String name : Performer.shapes(config).keySet()) {
      Variable weight = graph.variables().apply(name);
      weights.put(name, weight);
      carried.put(name, weight.read(tf));
    }
    Map<String, Shape> shapes = new LinkedHashMap<>(decoder.states());
    carried.forEach(
        (name, value) -> {
          if (!weights.containsKey(name) && !shapes.containsKey(name)) {
            shapes.put(name, unknown(value.shape().numDimensions()));
          }
        });
    var ended =
        new Loop("generate", carried, shapes)
            .run(
                tf,
                (t, in) -> t.reduceAny(bools(in.get(ACTIVE)), t.array(0), new ReduceAny.Options[0]),
                (t, in) -> turn(t, in, weights, decoder.states().keySet()));
    Map<String, Operand<?>> outputs = new LinkedHashMap<>();
    outputs.put(TOKENS, rowsFirst(tf, ints(ended.get(TOKENS)), width));
    outputs.put(LOG_PROBABILITIES, rowsFirst(tf, floats(ended.get(LOG_PROBABILITIES)), width));
    outputs.put(LENGTHS, ended.get(LENGTHS));
    return new Signature(PerformerSignatures.GENERATE, inputs, outputs);
  }

  private static Shape unknown(int rank) {
    Shape shape = Shape.scalar();
    for (int i = 0; i < rank; i++) {
      shape = shape.append(Shape.UNKNOWN_SIZE);
    }
    return shape;
  }

  private static <T extends TNumber> Operand<T> option(
      Ops tf, Map<String, Operand<?>> inputs, String name, Class<T> type) {
    Operand<T> option = tf.placeholder(type, Placeholder.shape(Shape.unknown()));
    inputs.put(name, option);
    return option;
  }

  /** One number for all or one each, as {@code [B]}. */
  private static <T extends TType> Operand<T> each(Ops tf, Operand<T> x, Operand<TInt32> rows) {
    return tf.broadcastTo(tf.reshape(x, tf.array(-1)), rows);
  }

  /** How many tokens a row gets at most: as many as it may, and the model has positions for. */
  private Operand<TInt32> limit(Ops tf, Operand<TInt32> most, Operand<TInt32> first) {
    var zero = tf.constant(0);
    Operand<TInt32> limit = tf.math.maximum(most, zero);
    OptionalInt longest = config.longestSequence();
    if (longest.isPresent()) { // the last token needs none
      var room = tf.math.sub(tf.constant(longest.getAsInt() + 1), first);
      limit = tf.math.maximum(tf.math.minimum(limit, room), zero);
    }
    return tf.select(tf.math.equal(first, zero), tf.zerosLike(limit), limit);
  }

  private Map<String, Operand<?>> turn(
      Ops tf, Map<String, Operand<?>> in, Map<String, Variable> weights, Set<String> names) {
    Function<String, Variable> values = name -> weights.get(name).ofValue(in.get(name));
    RecurrentDecoder decoder = new RecurrentDecoder(tf, Performer.over(config, values));
    Map<String, Operand<TFloat32>> states = new LinkedHashMap<>();
    names.forEach(name -> states.put(name, floats(in.get(name))));
    TokenChoice choice =
        new TokenChoice(
            floats(in.get("temperature")),
            ints(in.get("top_k")),
            floats(in.get("top_p")),
            in.get(RANDOM).asOutput().expect(TInt64.class));
    Texts texts = new Texts(in);
    var place = tf.math.add(ints(in.get(FIRST)), tf.math.sub(texts.lengths, tf.constant(1)));
    // Where a text has ended, no position may be left.
    var position = tf.select(texts.active, place, tf.zerosLike(place));
    var read = decoder.step(tf, texts.last, position, states);
    Operand<TInt32> drawn = ints(in.get(DRAWN));
    Map<String, Operand<?>> after = new LinkedHashMap<>();
    after.put(DRAWN, tf.math.add(drawn, tf.constant(1)));
    after.putAll(texts.after(tf, choice, read.logits(), drawn, ints(in.get(LIMIT))));
    after.putAll(read.states());
    return after;
  }

  /** {@code [n, B]} as {@code [B, N]}. */
  private static <T extends TNumber> Operand<T> rowsFirst(
      Ops tf, Operand<T> x, Operand<TInt32> width) {
    var size = tf.stack(List.of(width, tf.constant(-1)));
    return tf.linalg.transpose(tf.slice(x, tf.array(0, 0), size), tf.array(1, 0));
  }

  private static ReduceMax.Options[] noOptions() {
    return new ReduceMax.Options[0];
  }

  private static Operand<TInt32> ints(Operand<?> x) {
    return x.asOutput().expect(TInt32.class);
  }

  private static Operand<TFloat32> floats(Operand<?> x) {
    return x.asOutput().expect(TFloat32.class);
  }

  private static Operand<TBool> bools(Operand<?> x) {
    return x.asOutput().expect(TBool.class);
  }

  /** Texts as they grow. */
  private final class Texts {
    private final Operand<TInt32> tokens; // [n, B], n at least N
    private final Operand<TFloat32> logProbabilities; // [n, B]
    private final Operand<TInt32> lengths; // [B]
    private final Operand<TBool> active; // [B], whether a token is to come
    private final Operand<TInt32> last; // [B]

    private Texts(Map<String, Operand<?>> carried) {
      tokens = ints(carried.get(TOKENS));
      logProbabilities = floats(carried.get(LOG_PROBABILITIES));
      lengths = ints(carried.get(LENGTHS));
      active = bools(carried.get(ACTIVE));
      last = ints(carried.get(LAST));
    }

    /** Empty ones. */
    private Texts(Ops tf, Operand<TInt32> rows, Operand<TInt32> width, Operand<TInt32> limit) {
      var size = tf.concat(List.of(tf.reshape(width, tf.array(1)), rows), tf.constant(0));
      tokens = tf.fill(size, tf.constant(filler));
      logProbabilities = tf.fill(size, tf.constant(0f));
      lengths = tf.zerosLike(limit);
      active = tf.math.greater(limit, tf.constant(0));
      last = tf.zerosLike(limit);
    }

    /** With one more token of each that is active, chosen when so many had been drawn. */
    private Map<String, Operand<?>> after(
        Ops tf,
        TokenChoice choice,
        Operand<TFloat32> logits,
        Operand<TInt32> drawn,
        Operand<TInt32> limit) {
      var chosen = choice.choose(tf, logits, next.forbidden(), tf.math.add(drawn, tf.constant(1)));
      Operand<TInt32> token = tf.select(active, chosen.tokens(), tf.constant(filler));
      Operand<TFloat32> log = tf.select(active, chosen.logProbabilities(), tf.constant(0f));
      Operand<TBool> goesOn = active;
      if (next.end().isPresent()) {
        var isOther = tf.math.notEqual(token, tf.constant(next.end().getAsInt()));
        goesOn = tf.math.logicalAnd(active, isOther);
      }
      var count = tf.math.add(lengths, tf.dtypes.cast(goesOn, TInt32.class));
      var at = tf.reshape(drawn, tf.array(1, 1));
      var row = tf.constant(0);
      Map<String, Operand<?>> after = new LinkedHashMap<>();
      after.put(TOKENS, tf.tensorScatterNdUpdate(tokens, at, tf.expandDims(token, row)));
      after.put(
          LOG_PROBABILITIES,
          tf.tensorScatterNdUpdate(logProbabilities, at, tf.expandDims(log, row)));
      after.put(LENGTHS, count);
      after.put(ACTIVE, tf.math.logicalAnd(goesOn, tf.math.less(count, limit)));
      after.put(LAST, tf.select(goesOn, token, last));
      return after;
    }
  }
}
