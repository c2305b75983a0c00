package dev.performer.savedmodel.softmax;

import java.util.List;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/** What one axis of a tensor runs over, such as heads; its size in each sample. */
final class Atom {
  private final long[] sizes;
  private List<Atom> parts = List.of();

  Atom(long... sizes) {
    this.sizes = sizes;
  }

  long size(int sample) {
    return sizes[sample];
  }

  /** Whether it has one size, whatever the inputs are. */
  boolean isFixed() {
    return LongStream.of(sizes).distinct().count() == 1;
  }

  /** Turns out to be two, the outer first, wherever it stands. */
  void split(long... outer) {
    long[] inner = sizes.clone();
    for (int i = 0; i < inner.length; i++) {
      inner[i] /= outer[i];
    }
    parts = List.of(new Atom(outer), new Atom(inner));
  }

  /** Itself, or those that it turned out to be. */
  Stream<Atom> leaves() {
    return parts.isEmpty() ? Stream.of(this) : parts.stream().flatMap(Atom::leaves);
  }
}
