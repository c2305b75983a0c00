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
        return new LineStream(file);
      }

      @Override
      public String name() {
        return file.toString();
      }
    };
  }

  /** FASTA, or lines where the name ends with {@code .txt}. */
  static SequenceSource file(Path file) {
    return isLines(file) ? lines(file) : fasta(file);
  }

  /** Whether a file holds one sequence or text a line. */
  static boolean isLines(Path file) {
    return file.getFileName().toString().toLowerCase(Locale.ROOT).endsWith(".txt");
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
