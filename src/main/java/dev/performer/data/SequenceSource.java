package dev.performer.data;

import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;

/** Sequences that can be read again and again, in the same order each time. */
public interface SequenceSource {
  /** Starts at the first sequence; the caller closes the stream. */
  SequenceStream open();

  /** What a message calls it, such as a file name. */
  String name();

  /** The sequences of a FASTA file, plain or gzipped. */
  static SequenceSource fasta(Path file) {
    return new SequenceSource() {
      @Override
      public SequenceStream open() {
        return FastaReader.open(file);
      }

      @Override
      public String name() {
        return file.toString();
      }
    };
  }

  /** The lines of a text file that are not blank, as the tokenizer's texts. */
  static SequenceSource lines(Path file) {
    return new SequenceSource() {
      @Override
      public SequenceStream open() {
        return new Lines(file);
      }

      @Override
      public String name() {
        return file.toString();
      }
    };
  }

  /** Lines as sequences; an id is the number of the line. */
  final class Lines extends LookAhead<ProteinSequence> implements SequenceStream {
    private final LineReader lines;

    private Lines(Path file) {
      lines = new LineReader(file);
    }

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
    List<ProteinSequence> copy = List.copyOf(sequences);
    return new SequenceSource() {
      @Override
      public SequenceStream open() {
        Iterator<ProteinSequence> iterator = copy.iterator();
        return new SequenceStream() {
          @Override
          public boolean hasNext() {
            return iterator.hasNext();
          }

          @Override
          public ProteinSequence next() {
            return iterator.next();
          }

          @Override
          public void close() {}
        };
      }

      @Override
      public String name() {
        return "the given sequences";
      }
    };
  }
}
