package dev.performer.data;

import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/** Examples that can be read again and again, in the same order each time. */
public interface ExampleSource {
  /** What a message calls it, such as a file name. */
  String name();

  /** Starts at the first example; the caller closes the stream. */
  DataStream<Example> open();

  /** What the open streams so far took otherwise than it stood, in one line; empty for nothing. */
  default Optional<String> report() {
    return Optional.empty();
  }

  /** What opens a stream anew each time, under a name. */
  static ExampleSource of(String name, Supplier<DataStream<Example>> opener) {
    return of(name, opener, Optional::empty);
  }

  private static ExampleSource of(
      String name, Supplier<DataStream<Example>> opener, Supplier<Optional<String>> reporter) {
    record Named(
        String name, Supplier<DataStream<Example>> opener, Supplier<Optional<String>> reporter)
        implements ExampleSource {
      @Override
      public DataStream<Example> open() {
        return opener.get();
      }

      @Override
      public Optional<String> report() {
        return reporter.get();
      }
    }
    return new Named(name, opener, reporter);
  }

  /** Examples held in memory. */
  static IndexedExamples of(String name, List<Example> examples) {
    List<Example> copy = List.copyOf(examples);
    return IndexedExamples.of(name, copy.size(), index -> copy.get(Math.toIntExact(index)));
  }

  /** Token ids, the same ones in the same order each time; a closeable iterator is closed. */
  static ExampleSource ofTokens(String name, Iterable<int[]> sequences) {
    return of(name, () -> DataStream.of(sequences.iterator()).map(Example::of));
  }

  /** The texts of sequences, such as the letters of a FASTA file, as the encoder reads them. */
  static ExampleSource of(SequenceSource sequences, TextEncoder encoder) {
    return of(
        sequences.name(),
        () -> sequences.open().map(next -> Example.of(encoder.encode(next.residues()))),
        encoder::report);
  }
}
