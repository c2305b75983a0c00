package dev.performer.savedmodel.softmax;

import dev.performer.attention.Attention;
import dev.performer.graph.Algebra;
import dev.performer.graph.Tensors;
import dev.performer.savedmodel.softmax.Site.Wire;
import dev.performer.savedmodel.softmax.SiteMask.Factor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TBool;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;
import org.tensorflow.types.family.TNumber;
import org.tensorflow.types.family.TType;

/**
 * The ops of one attention that takes the place of a softmax: from queries, keys, values and masks
 * as the model has them to its outputs, by placeholders that stand for the model's tensors.
 */
final class Fragment<T extends TFloating> {
  private final Ops tf;
  private final Algebra<T> a;
  private final Site site;
  private final Samples samples;
  private final Map<String, Output<?>> placeholders = new LinkedHashMap<>();
  private final Map<Atom, Operand<TInt32>> sizes = new HashMap<>();

  /**
   * @param type of queries, keys and values
   */
  Fragment(Ops tf, Class<T> type, Site site, Samples samples) {
    this.tf = tf;
    this.a = new Algebra<>(tf, type);
    this.site = site;
    this.samples = samples;
  }

  /** The model's tensors, by reference. */
  Map<String, Output<?>> placeholders() {
    return placeholders;
  }

  /**
   * Adds the ops.
   *
   * @param scale of products; null where the site's factors are tensors
   * @return what the product of weights and values was
   */
  Output<?> build(Attention attention, SiteMask mask, Double scale) {
    var q = given(site.queries());
    var k = given(site.keys());
    var v = given(site.values());
    q = scaled(q, scale);
    List<Atom> batch = site.batch();
    var out =
        attention.attend(
            tf,
            headed(ordered(q, site.queries().axes(), with(batch, site.length(), site.size()))),
            headed(ordered(k, site.keys().axes(), with(batch, site.keyLength(), site.size()))),
            headed(
                ordered(v, site.values().axes(), with(batch, site.keyLength(), site.valueSize()))),
            keyMask(mask)); // [B, H, L, V]
    List<Atom> order = with(batch, site.length(), site.valueSize());
    var plain = batch.size() == 2 ? out : Algebra.reshape(tf, out, shape(order));
    List<Atom> wanted = site.outAxes().leaves();
    var moved = transposed(plain, order, wanted);
    boolean isWhole = site.outAxes().rank() == wanted.size();
    return (isWhole ? moved : Algebra.reshape(tf, moved, joined(site.outAxes()))).asOutput();
  }

  private static List<Atom> with(List<Atom> batch, Atom... more) {
    List<Atom> all = new ArrayList<>(batch);
    all.addAll(List.of(more));
    return all;
  }

  @SuppressWarnings("unchecked")
  private Operand<T> given(Wire operand) {
    return (Operand<T>) placeholder(operand, a.type());
  }

  private Operand<?> placeholder(Wire operand, Class<? extends TType> type) {
    var known = placeholders.get(operand.reference());
    if (known != null) {
      return known;
    }
    Axes axes = operand.axes();
    long[] shape = new long[axes.rank()];
    for (int i = 0; i < shape.length; i++) {
      List<Atom> axis = axes.axis(i);
      shape[i] = axis.stream().allMatch(Atom::isFixed) ? fixed(axis) : -1;
    }
    var made = tf.placeholder(type, Placeholder.shape(Shape.of(shape)));
    placeholders.put(operand.reference(), made.asOutput());
    for (int i = 0; i < shape.length; i++) {
      List<Atom> open = axes.axis(i).stream().filter(atom -> !atom.isFixed()).toList();
      if (open.size() == 1 && !sizes.containsKey(open.get(0))) {
        var all = Algebra.sizes(tf, made, i, i + 1);
        long inner = fixed(axes.axis(i).stream().filter(Atom::isFixed).toList());
        sizes.put(open.get(0), inner == 1 ? all : tf.math.div(all, tf.array((int) inner)));
      }
    }
    return made;
  }

  private static long fixed(List<Atom> atoms) {
    return atoms.stream().mapToLong(atom -> atom.size(0)).reduce(1, (x, y) -> x * y);
  }

  private Operand<T> scaled(Operand<T> queries, Double scale) {
    double root = Math.sqrt(site.size().size(0));
    if (scale != null) {
      boolean isUsual = Math.abs(scale * root - 1) < 1e-6;
      return isUsual ? queries : a.times(queries, scale * root);
    }
    var scaled = a.times(queries, root);
    for (Site.Scale factor : site.scales()) {
      var value = given(new Wire(factor.reference(), axesOf(factor.reference())));
      var scalar = tf.reshape(value, tf.array(new int[0]));
      scaled = factor.divides() ? tf.math.div(scaled, scalar) : tf.math.mul(scaled, scalar);
    }
    return scaled;
  }

  private Axes axesOf(String scalar) {
    return Axes.of(samples.shapes(scalar));
  }

  /** {@code [B, H, L, D]}; heads are the last of what the product runs over. */
  private Operand<T> headed(Operand<T> x) {
    int batch = site.batch().size();
    if (batch == 2) {
      return x;
    }
    long[] shape = x.shape().asArray();
    if (batch < 2) {
      var one = tf.expandDims(x, tf.constant(batch));
      return batch == 1 ? one : tf.expandDims(one, tf.constant(0));
    }
    var last = Algebra.sizes(tf, x, batch - 1, shape.length);
    return Algebra.reshape(tf, x, tf.concat(List.of(tf.array(-1), last), tf.constant(0)));
  }

  /** {@code [B, S]}, or null where all keys are seen. */
  private Operand<T> keyMask(SiteMask mask) {
    List<Atom> batch = site.batch();
    List<Atom> rows = batch.size() < 2 ? batch : batch.subList(0, batch.size() - 1);
    Operand<T> all = null;
    for (Factor factor : mask.factors()) {
      var kept = a.cast(kept(factor)); // as the factor's tensor
      var own = ordered(kept, factor.axes().without(site.length()), with(rows, site.keyLength()));
      all = all == null ? own : tf.math.mul(all, own);
    }
    if (all == null || rows.size() == 1) {
      return all;
    }
    return rows.isEmpty()
        ? tf.expandDims(all, tf.constant(0))
        : Algebra.reshape(
            tf, all, tf.concat(List.of(tf.array(-1), sizes(site.keyLength())), tf.constant(0)));
  }

  @SuppressWarnings("unchecked")
  private Operand<? extends TNumber> kept(Factor factor) {
    Class<? extends TType> type =
        Tensors.javaType(samples.graph().outputOrThrow(factor.reference()).dataType());
    var given = placeholder(new Wire(factor.reference(), factor.axes()), type);
    int row = factor.axes().only(site.length());
    if (row >= 0) { // rows are alike
      int[] begin = new int[factor.axes().rank()];
      int[] size = begin.clone();
      Arrays.fill(size, -1);
      size[row] = 1;
      given = tf.slice((Operand<TType>) given, tf.constant(begin), tf.constant(size));
    }
    if (type == TBool.class) {
      var bits = (Operand<TBool>) given;
      return tf.dtypes.cast(factor.kept() > 0 ? bits : tf.math.logicalNot(bits), a.type());
    }
    var values = tf.dtypes.cast((Operand<? extends TNumber>) given, TFloat32.class);
    var between = tf.constant((float) (factor.kept() / 2 + factor.other() / 2));
    var isKept =
        factor.kept() > factor.other()
            ? tf.math.greater(values, between)
            : tf.math.less(values, between);
    return tf.dtypes.cast(isKept, a.type());
  }

  /** One axis for each atom, in an order, repeated over those that are missing. */
  private Operand<T> ordered(Operand<T> x, Axes axes, List<Atom> order) {
    List<Atom> own = axes.leaves();
    boolean isPlain = axes.rank() == own.size();
    var split = isPlain ? x : Algebra.reshape(tf, x, shape(own));
    List<Atom> there = order.stream().filter(own::contains).toList();
    var moved = transposed(split, own, there);
    if (there.size() == order.size()) {
      return moved;
    }
    for (int i = 0; i < order.size(); i++) {
      moved = own.contains(order.get(i)) ? moved : tf.expandDims(moved, tf.constant(i));
    }
    var whole = order.stream().map(this::sizes).toList();
    return tf.broadcastTo(moved, tf.concat(whole, tf.constant(0)));
  }

  private Operand<T> transposed(Operand<T> x, List<Atom> own, List<Atom> wanted) {
    int[] places = wanted.stream().mapToInt(own::indexOf).toArray();
    return own.equals(wanted) ? x : tf.linalg.transpose(x, tf.array(places));
  }

  private Operand<TInt32> sizes(Atom atom) {
    return atom.isFixed() ? tf.array((int) atom.size(0)) : sizes.get(atom);
  }

  private Operand<TInt32> shape(List<Atom> atoms) {
    return joined(new Axes(atoms.stream().map(List::of).toList()));
  }

  /** Sizes of axes, of which one may be left to follow from the others. */
  private Operand<TInt32> joined(Axes axes) {
    int[] known = new int[axes.rank()];
    List<Integer> open = new ArrayList<>();
    for (int i = 0; i < known.length; i++) {
      boolean isOpen = !axes.axis(i).stream().allMatch(Atom::isFixed);
      known[i] = isOpen ? -1 : (int) fixed(axes.axis(i));
      if (isOpen) {
        open.add(i);
      }
    }
    if (open.size() < 2) {
      return tf.array(known);
    }
    List<Operand<TInt32>> parts = new ArrayList<>();
    for (int i = 0; i < known.length; i++) {
      boolean isComputed = known[i] < 0 && i != open.get(0);
      parts.add(isComputed ? size(axes.axis(i)) : tf.array(known[i]));
    }
    return tf.concat(parts, tf.constant(0));
  }

  private Operand<TInt32> size(List<Atom> axis) {
    Operand<TInt32> size = sizes(axis.get(0));
    for (Atom atom : axis.subList(1, axis.size())) {
      size = tf.math.mul(size, sizes(atom));
    }
    return size;
  }
}
