package dev.performer.data;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;

/** Sequences that can be read again and again, in the same order each time. */
public interface SequenceSource {
  /** Starts at the first sequence; the caller closes the stream. */
  DataStream<ProteinSequence> open();

  /** What a message calls it, such as a file name. */
  String name();

  /** What opens a stream anew each time, under a name. */
  static SequenceSource of(String name, Supplier<DataStream<ProteinSequence>> opener) {
    record Named(String name, Supplier<DataStream<ProteinSequence>> opener)
        implements SequenceSource {
      @Override
      public DataStream<ProteinSequence> open() {
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
    return of(
        file.toString(),
        () -> {
          DataFile.Lines lines = new DataFile.Lines(file);
          return DataStream.of(lines::nextText, lines::close)
              .map(line -> new ProteinSequence("" + lines.number(), "", line.strip()));
        });
  }

  /** FASTA, or lines where {@link #isLines}. */
  static SequenceSource file(Path file) {
    return isLines(file) ? lines(file) : fasta(file);
  }

  /** Whether it is a {@code .txt}, or the standard input, which does not begin as FASTA does. */
  static boolean isLines(Path file) {
    return DataFile.isStandardInput(file)
        ? !FastaReader.recognizes(file)
        : file.toString().matches("(?i).*\\.txt");
  }

  /** Sequences held in memory. */
  static SequenceSource of(List<ProteinSequence> sequences) {
    List<ProteinSequence> copy = List.copyOf(sequences);
    return of("the given sequences", () -> DataStream.of(copy.iterator()));
  }

  /** A program's own texts, without names; iterated anew for each pass, and in the same order. */
  static SequenceSource texts(String name, Iterable<String> texts) {
    return of(
        name, () -> DataStream.of(texts.iterator()).map(text -> new ProteinSequence("", "", text)));
  }
}
