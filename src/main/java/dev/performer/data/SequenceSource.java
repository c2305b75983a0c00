package dev.performer.data;

import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.function.Supplier;

/** Sequences that can be read again and again, in the same order each time. */
public interface SequenceSource {
  /** Starts at the first sequence; the caller closes the stream. */
  SequenceStream open();

  /** What a message calls it, such as a file name. */
  String name();

  /** What opens a stream anew each time, under a name. */
  static SequenceSource of(String name, Supplier<SequenceStream> opener) {
    record Named(String name, Supplier<SequenceStream> opener) implements SequenceSource {
      @Override
      public SequenceStream open() {
        return opener.get();
      }
    }
    return new Named(name, opener);
  }

  /** The sequences of a FASTA file, plain or gzipped. */
  static SequenceSource fasta(Path file) {
    return of(file.toString(), () -> FastaReader.open(file));
  }

  /** The lines of a text that are not blank, as sequences; an id is the number of the line. */
  static SequenceSource lines(Path file) {
    final class Lines extends LookAhead<ProteinSequence> implements SequenceStream {
      private final LineReader lines = new LineReader(file);

      @Override
      protected ProteinSequence read() {
        String line = lines.nextText();
        return line == null
            ? null
            : new ProteinSequence(Long.toString(lines.number()), "", line.strip());
      }

      @Override
      public void close() {
        lines.close();
      }
    }
    return of(file.toString(), Lines::new);
  }

  /** FASTA, or lines where {@link #isLines}. */
  static SequenceSource file(Path file) {
    return isLines(file) ? lines(file) : fasta(file);
  }

  /**
   * Whether a file holds one sequence or text a line: its name ends with {@code .txt}, or it is the
   * standard input and does not begin as FASTA does.
   */
  static boolean isLines(Path file) {
    return DataFile.isStandardInput(file)
        ? !FastaReader.recognizes(file)
        : file.toString().toLowerCase(Locale.ROOT).endsWith(".txt");
  }

  /** Sequences held in memory. */
  static SequenceSource of(List<ProteinSequence> sequences) {
    return of("the given sequences", List.copyOf(sequences), sequence -> sequence);
  }

  /**
   * A program's own texts; they have no names.
   *
   * @param name what messages call them
   * @param texts iterated anew for each pass, and in the same order
   */
  static SequenceSource texts(String name, Iterable<String> texts) {
    return of(name, texts, text -> new ProteinSequence("", "", text));
  }

  private static <T> SequenceSource of(
      String name, Iterable<T> all, Function<T, ProteinSequence> sequence) {
    final class InMemory extends LookAhead<ProteinSequence> implements SequenceStream {
      private final Iterator<T> iterator = all.iterator();

      @Override
      protected ProteinSequence read() {
        return iterator.hasNext() ? sequence.apply(iterator.next()) : null;
      }

      @Override
      public void close() {}
    }
    return of(name, InMemory::new);
  }
}
