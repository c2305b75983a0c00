package dev.performer.data;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.LongUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** Examples as rows of named arrays, of which any can be had at once. For use by one thread. */
public interface ArrayRows {
  /** What a message calls the data. */
  String name();

  /** How many there are. */
  int size();

  Set<String> arrays();

  /** Rows of an array that there is, one below the other, {@code [places, …]}. */
  NpyArray rows(String array, int[] places);

  /** An error lists what there is. */
  default void requireArray(String array) {
    String there = Excerpt.names(new TreeSet<>(arrays()));
    require(arrays().contains(array), "%s has no array '%s'; it has [%s]", name(), array, there);
  }

  /** The arrays of an .npz, all of as many rows. */
  static ArrayRows npz(Path file) {
    return of(file.toString(), Npz.read(file));
  }

  /** Arrays in memory. @throws dev.performer.PerformerException unless all have as many rows */
  static ArrayRows of(String name, Map<String, NpyArray> arrays) {
    record Held(String name, int size, Map<String, NpyArray> held) implements ArrayRows {
      @Override
      public Set<String> arrays() {
        return held.keySet();
      }

      @Override
      public NpyArray rows(String array, int[] places) {
        NpyArray all = held.get(array);
        long[] shape = all.shape().clone();
        int bytes = size == 0 ? 0 : all.bytes().length / size;
        shape[0] = places.length;
        ByteBuffer rows = ByteBuffer.allocate(Math.multiplyExact(bytes, places.length));
        IntStream.of(places).forEach(place -> rows.put(all.bytes(), place * bytes, bytes));
        return new NpyArray(all.type(), shape, rows.array());
      }
    }
    require(!arrays.isEmpty(), "%s holds no array of numbers", name);
    Map<String, NpyArray> kept = new LinkedHashMap<>(arrays);
    kept.values().removeIf(array -> array.shape().length == 0); // a scalar is no example
    long[] sizes = kept.values().stream().mapToLong(array -> array.shape()[0]).distinct().toArray();
    String differ = "%s: its arrays [%s] have unlike numbers of rows; each row is an example";
    require(
        sizes.length == 1,
        differ,
        name,
        Excerpt.names(kept.values().stream().map(String::valueOf).toList()));
    require(sizes[0] > 0, "%s holds no example: its arrays have no row", name);
    return new Held(name, Math.toIntExact(sizes[0]), kept);
  }

  /** Some of the rows under another name. */
  default ArrayRows at(String other, int[] wanted) {
    ArrayRows all = this;
    record Part(String name, ArrayRows all, int[] wanted) implements ArrayRows {
      @Override
      public int size() {
        return wanted.length;
      }

      @Override
      public Set<String> arrays() {
        return all.arrays();
      }

      @Override
      public NpyArray rows(String array, int[] places) {
        return all.rows(array, IntStream.of(places).map(place -> wanted[place]).toArray());
      }
    }
    return new Part(other, all, wanted);
  }

  /** Holds out the first of every so many, at least 2. */
  default HeldOut<ArrayRows> heldOut(int every) {
    return new HeldOut<>(
        at(name(), IntStream.range(0, size()).filter(i -> i % every != 0).toArray()),
        at(
            name() + ", held out",
            IntStream.range(0, size()).filter(i -> i % every == 0).toArray()));
  }

  /** The rows of a batch: in their order, or in a random one that follows from seed and epoch. */
  default int[] places(int batch, long index, boolean shuffle, long seed, long epoch) {
    LongUnaryOperator order =
        shuffle ? Seeds.permutation(size(), Seeds.mix(seed, epoch)) : place -> place;
    return LongStream.range(index * batch, Math.min(size(), (index + 1) * batch))
        .map(order)
        .mapToInt(Math::toIntExact)
        .toArray();
  }
}
