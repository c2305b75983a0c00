package dev.performer.savedmodel.softmax;

import dev.performer.data.NpyArray;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.LongStream;

/**
 * What each axis of a tensor runs over: several atoms where axes were joined, none where its size
 * is 1.
 */
record Axes(List<List<Atom>> parts) {
  int rank() {
    return parts.size();
  }

  List<Atom> axis(int i) {
    return parts.get(i).stream().flatMap(Atom::leaves).toList();
  }

  /** In the order in which elements lie. */
  List<Atom> leaves() {
    return parts.stream().flatMap(List::stream).flatMap(Atom::leaves).toList();
  }

  boolean has(Atom atom) {
    return leaves().contains(atom);
  }

  /** The axis that runs over this and nothing else, or −1. */
  int only(Atom atom) {
    for (int i = 0; i < rank(); i++) {
      if (axis(i).equals(List.of(atom))) {
        return i;
      }
    }
    return -1;
  }

  /** The same without an atom. */
  Axes without(Atom atom) {
    List<List<Atom>> rest = new ArrayList<>();
    for (int i = 0; i < rank(); i++) {
      rest.add(axis(i).stream().filter(a -> a != atom).toList());
    }
    return new Axes(rest);
  }

  /** New atoms for all axes. @param shapes of each sample */
  static Axes of(List<long[]> shapes) {
    List<List<Atom>> parts = new ArrayList<>();
    for (int i = 0; i < shapes.get(0).length; i++) {
      long[] sizes = sizes(shapes, i);
      parts.add(isOne(sizes) ? List.of() : List.of(new Atom(sizes)));
    }
    return new Axes(parts);
  }

  static long[] sizes(List<long[]> shapes, int axis) {
    return shapes.stream().mapToLong(shape -> shape[axis]).toArray();
  }

  static boolean isOne(long... sizes) {
    return LongStream.of(sizes).allMatch(size -> size == 1);
  }

  /** The same elements in other axes; splits atoms where that needs it. */
  static Optional<Axes> regrouped(List<Atom> leaves, List<long[]> shapes) {
    Deque<Atom> rest = new ArrayDeque<>(leaves);
    List<List<Atom>> parts = new ArrayList<>();
    for (int i = 0; i < shapes.get(0).length; i++) {
      long[] wanted = sizes(shapes, i);
      List<Atom> axis = new ArrayList<>();
      while (!isOne(wanted)) {
        Atom next = rest.poll();
        if (next == null) {
          return Optional.empty();
        }
        if (divides(next, wanted)) {
          axis.add(next);
          for (int s = 0; s < wanted.length; s++) {
            wanted[s] /= next.size(s);
          }
        } else if (isMultiple(next, wanted)) {
          next.split(wanted.clone());
          List<Atom> halves = next.leaves().toList();
          axis.add(halves.get(0));
          rest.addFirst(halves.get(1));
          Arrays.fill(wanted, 1);
        } else {
          return Optional.empty();
        }
      }
      parts.add(axis);
    }
    return rest.isEmpty() ? Optional.of(new Axes(parts)) : Optional.empty();
  }

  private static boolean divides(Atom atom, long... wanted) {
    for (int s = 0; s < wanted.length; s++) {
      if (wanted[s] % atom.size(s) != 0) {
        return false;
      }
    }
    return true;
  }

  private static boolean isMultiple(Atom atom, long... wanted) {
    for (int s = 0; s < wanted.length; s++) {
      if (wanted[s] == 0 || atom.size(s) % wanted[s] != 0) {
        return false;
      }
    }
    return true;
  }

  /** Of an operand that is broadcast to these axes. */
  Optional<Axes> operand(List<long[]> shapes) {
    int own = shapes.get(0).length;
    List<List<Atom>> axes = new ArrayList<>();
    for (int i = 0; i < own; i++) {
      long[] sizes = sizes(shapes, i);
      int at = rank() - own + i;
      if (isOne(sizes)) {
        axes.add(List.of());
      } else if (at >= 0 && hasSizes(axis(at), sizes)) {
        axes.add(axis(at));
      } else {
        return Optional.empty();
      }
    }
    return Optional.of(new Axes(axes));
  }

  static boolean hasSizes(List<Atom> axis, long... sizes) {
    for (int s = 0; s < sizes.length; s++) {
      int sample = s;
      if (axis.stream().mapToLong(a -> a.size(sample)).reduce(1, (a, b) -> a * b) != sizes[s]) {
        return false;
      }
    }
    return true;
  }

  /** Values in the order of some atoms, repeated over those that these axes lack. */
  double[] ordered(NpyArray values, List<Atom> order, int sample) {
    Map<Atom, Integer> strides = new HashMap<>();
    List<Atom> own = leaves();
    int stride = 1;
    for (int i = own.size() - 1; i >= 0; i--) {
      strides.put(own.get(i), stride);
      stride *= (int) own.get(i).size(sample);
    }
    double[] given = doubles(values);
    int size = 1;
    for (Atom atom : order) {
      size *= (int) atom.size(sample);
    }
    double[] ordered = new double[size];
    for (int i = 0; i < size; i++) {
      int rest = i;
      int from = 0;
      for (int a = order.size() - 1; a >= 0; a--) {
        int length = (int) order.get(a).size(sample);
        from += rest % length * strides.getOrDefault(order.get(a), 0);
        rest /= length;
      }
      ordered[i] = given[from];
    }
    return ordered;
  }

  /** Any numbers, and 1 for true. */
  static double[] doubles(NpyArray values) {
    return switch (values.type()) {
      case FLOAT32, FLOAT64 -> values.doubles();
      case BOOL -> {
        double[] bits = new double[values.size()];
        for (int i = 0; i < bits.length; i++) {
          bits[i] = values.bytes()[i];
        }
        yield bits;
      }
      default -> LongStream.of(values.longs()).asDoubleStream().toArray();
    };
  }
}
