package dev.performer.attention;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.BandedAttention.Keys;
import dev.performer.attention.SharedDenominator.Part;
import dev.performer.graph.Algebra;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gather;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * The recurrent form of {@link BandedAttention}: the last W + 1 keys and values, the sinks, and the
 * sums of features of all others. A key's features enter the sums when it leaves the window.
 */
record BandedRecurrence(
    BandedAttention attention, int heads, int headSize, long features, int valueSize)
    implements RecurrentForm {
  /** States by name; null where there is none of a kind. */
  private record Held(
      Operand<TFloat32> sums, // [B, H, V+1, R]
      Keys<TFloat32> window, // W + 1 positions, the oldest first
      Operand<TFloat32> sinkKeys, // [B, H, N, D]
      Operand<TFloat32> sinkValues, // [B, H, N, V+1]
      Operand<TFloat32> count) { // [B, 1], positions so far
    List<Operand<TFloat32>> all() {
      List<Operand<TFloat32>> all = new ArrayList<>();
      if (sums != null) {
        all.add(sums);
      }
      if (window != null) {
        all.addAll(List.of(window.keys(), window.values(), window.counted()));
      }
      if (sinkKeys != null) {
        all.addAll(List.of(sinkKeys, sinkValues, count));
      }
      return all;
    }
  }

  private int places() {
    return attention.config().window() + 1;
  }

  @Override
  public List<State> states() {
    List<State> states = new ArrayList<>();
    if (attention.config().linear()) {
      states.add(new State("sums", heads, valueSize + 1, features));
    }
    if (attention.hasWindow()) {
      states.add(new State("window_keys", heads, places(), headSize));
      states.add(new State("window_values", heads, places(), valueSize));
      states.add(new State("window_counted", places()));
    }
    if (attention.hasSinks()) {
      int sinks = attention.config().sinks().size();
      states.add(new State("sink_keys", heads, sinks, headSize));
      states.add(new State("sink_values", heads, sinks, valueSize + 1));
      states.add(new State("count", 1));
    }
    return states;
  }

  private Held held(Ops tf, List<Operand<TFloat32>> states, Operand<TFloat32> like) {
    Iterator<Operand<TFloat32>> given =
        states == null
            ? states().stream().map(state -> zeros(tf, state, like)).iterator()
            : states.iterator();
    Operand<TFloat32> sums = attention.config().linear() ? given.next() : null;
    Keys<TFloat32> window =
        attention.hasWindow() ? new Keys<>(given.next(), given.next(), given.next()) : null;
    return attention.hasSinks()
        ? new Held(sums, window, given.next(), given.next(), given.next())
        : new Held(sums, window, null, null, null);
  }

  private static Operand<TFloat32> zeros(Ops tf, State state, Operand<TFloat32> like) {
    List<Operand<TInt32>> sizes = new ArrayList<>(List.of(Algebra.sizes(tf, like, 0, 1)));
    for (long size : state.sizes()) {
      sizes.add(tf.array((int) size));
    }
    return tf.fill(tf.concat(sizes, tf.constant(0)), tf.constant(0f));
  }

  @Override
  public Advance extend(
      Ops tf, List<Operand<TFloat32>> states, Projected more, Operand<TFloat32> keyMask) {
    Algebra<TFloat32> a = Algebra.of(tf, more.keys());
    Held before = held(tf, states, more.keys());
    Piece piece = piece(a, before, more, keyMask);
    List<Part<TFloat32>> parts = new ArrayList<>(piece.parts());
    Operand<TFloat32> taken = a.sum(keyMask, 1); // [B, 1]
    Keys<TFloat32> window = null;
    if (attention.hasWindow()) {
      int reach = attention.config().window();
      int chunk = attention.config().chunk();
      BandBlocks blocks = BandBlocks.of(tf, more.queries(), reach, false, chunk, false);
      parts.add(attention.window(a, blocks, more.queries(), piece.all().rest(tf)));
      window = last(tf, piece.all(), taken);
    }
    var causal = attention.causal(a, more.queries(), piece.all(), before.sums());
    parts.addAll(causal.parts());
    Operand<TFloat32> sums = null;
    if (causal.left() != null) {
      Operand<TFloat32> places = a.cast(Sinks.positions(tf, causal.left().keys())); // [T]
      Operand<TFloat32> hasLeft = a.where(tf.math.less(places, taken), 1, 0); // [B, T]
      var mask = tf.math.mul(causal.left().counted(), hasLeft);
      Operand<TFloat32> phi = causal.features().keys();
      var added = LinearAttention.state(tf, phi, causal.left().values(), mask);
      sums = tf.math.add(before.sums(), added);
    }
    return advance(a, parts, piece.after(sums, window));
  }

  @Override
  public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
    Algebra<TFloat32> a = Algebra.of(tf, one.keys());
    Held before = held(tf, states, one.keys());
    var column = List.of(Algebra.sizes(tf, one.keys(), 0, 1), tf.array(1));
    Operand<TFloat32> mask = tf.fill(tf.concat(column, tf.constant(0)), tf.constant(1f)); // [B, 1]
    Piece piece = piece(a, before, one, mask);
    List<Part<TFloat32>> parts = new ArrayList<>(piece.parts());
    Keys<TFloat32> window = null;
    if (attention.hasWindow()) {
      window = piece.all().rest(tf); // W + 1 with its own, which are all it sees here
      parts.add(seen(a, one.queries(), window));
    }
    Operand<TFloat32> sums = null;
    if (attention.config().linear()) {
      Keys<TFloat32> leaving = piece.all().first(tf, tf.array(1));
      var of = attention.featureMap().map(tf, one.queries(), leaving.keys(), leaving.counted());
      var added = LinearAttention.state(tf, of.keys(), leaving.values(), leaving.counted());
      sums = tf.math.add(before.sums(), added);
      Operand<TFloat32> read = a.matMulTransposed(of.queries(), sums); // [B, H, 1, V+1]
      parts.add(new Part<>(read, tf.math.neg(of.logScale().get())));
    }
    return advance(a, parts, piece.after(sums, window));
  }

  /** Exact weights of one query. */
  private Part<TFloat32> seen(Algebra<TFloat32> a, Operand<TFloat32> query, Keys<TFloat32> window) {
    Ops tf = a.tf();
    Operand<TFloat32> scaled = a.times(query, 1 / Math.sqrt(headSize));
    Operand<TFloat32> missing = tf.math.sub(a.constant(1), window.counted()); // [B, W+1]
    var row = tf.expandDims(tf.expandDims(missing, tf.constant(1)), tf.constant(1));
    Operand<TFloat32> scores = a.matMulTransposed(scaled, window.keys()); // [B, H, 1, W+1]
    scores = tf.math.add(scores, a.times(row, BandedAttention.PADDED));
    var values = LinearAttention.withOnes(tf, window.values(), window.counted());
    return Part.exact(a, scores, null, values);
  }

  /** A piece of a sequence, behind its window, with what it sees of sinks. */
  private record Piece(Keys<TFloat32> all, List<Part<TFloat32>> parts, Held before) {
    Held after(Operand<TFloat32> sums, Keys<TFloat32> window) {
      return new Held(sums, window, before.sinkKeys(), before.sinkValues(), before.count());
    }
  }

  private Piece piece(Algebra<TFloat32> a, Held before, Projected more, Operand<TFloat32> keyMask) {
    Ops tf = a.tf();
    Operand<TFloat32> counted = keyMask;
    Held held = before;
    List<Part<TFloat32>> parts = List.of();
    if (attention.hasSinks()) {
      var chosen = Sinks.chosen(a, attention.config().sinks(), keyMask, before.count());
      var ofOnes = LinearAttention.withOnes(tf, more.values(), null);
      Sinks<TFloat32> fresh = Sinks.of(a, chosen, more.keys(), ofOnes);
      Operand<TFloat32> keys = tf.math.add(before.sinkKeys(), fresh.keys());
      Operand<TFloat32> values = tf.math.add(before.sinkValues(), fresh.values());
      Operand<TFloat32> count = tf.math.add(before.count(), a.sum(keyMask, 1));
      parts = List.of(new Sinks<>(keys, values, fresh.places()).part(a, more.queries(), true));
      held = new Held(before.sums(), before.window(), keys, values, count);
      counted = tf.math.mul(keyMask, Sinks.others(a, chosen));
    }
    Keys<TFloat32> own = new Keys<>(more.keys(), more.values(), counted);
    Keys<TFloat32> window = before.window();
    if (window != null) {
      own =
          new Keys<>(
              a.concat(2, List.of(window.keys(), own.keys())),
              a.concat(2, List.of(window.values(), own.values())),
              a.concat(1, List.of(window.counted(), counted)));
    }
    return new Piece(own, parts, held);
  }

  /** The last W + 1 before padding, of which each row has its own share. */
  private Keys<TFloat32> last(Ops tf, Keys<TFloat32> all, Operand<TFloat32> taken) {
    var offsets = tf.range(tf.constant(0), tf.constant(places()), tf.constant(1));
    Operand<TInt32> at = tf.math.add(tf.dtypes.cast(taken, TInt32.class), offsets); // [B, W+1]
    return new Keys<>(
        tf.gather(all.keys(), at, tf.constant(2), Gather.batchDims(1L)),
        tf.gather(all.values(), at, tf.constant(2), Gather.batchDims(1L)),
        tf.gather(all.counted(), at, tf.constant(1), Gather.batchDims(1L)));
  }

  private Advance advance(Algebra<TFloat32> a, List<Part<TFloat32>> parts, Held after) {
    var by = attention.config().denominator();
    return new Advance(SharedDenominator.divided(a, parts, by), after.all());
  }
}
