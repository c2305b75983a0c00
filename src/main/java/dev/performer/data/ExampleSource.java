package dev.performer.data;

import dev.performer.PerformerException;
import java.util.Iterator;
import java.util.List;

/** Examples that can be read again and again, in the same order each time. */
public interface ExampleSource {
  /** What a message calls it, such as a file name. */
  String name();

  /** Starts at the first example; the caller closes the stream. */
  ExampleStream open();

  /** Examples held in memory. */
  static IndexedExamples of(String name, List<Example> examples) {
    List<Example> copy = List.copyOf(examples);
    return new IndexedExamples() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public long size() {
        return copy.size();
      }

      @Override
      public Example get(long index) {
        return copy.get(Math.toIntExact(index));
      }
    };
  }

  /**
   * Sequences of token ids.
   *
   * @param sequences gives the same ones in the same order each time; an iterator that is closeable
   *     is closed
   */
  static ExampleSource ofTokens(String name, Iterable<int[]> sequences) {
    return new ExampleSource() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public ExampleStream open() {
        Iterator<int[]> iterator = sequences.iterator();
        return new ExampleStream() {
          @Override
          public boolean hasNext() {
            return iterator.hasNext();
          }

          @Override
          public Example next() {
            return Example.of(iterator.next());
          }

          @Override
          public void close() {
            if (iterator instanceof AutoCloseable closeable) {
              try {
                closeable.close();
              } catch (Exception e) {
                throw new PerformerException(name + " cannot be closed: " + e.getMessage(), e);
              }
            }
          }
        };
      }
    };
  }

  /** The texts of sequences, such as the letters of a FASTA file, as the encoder reads them. */
  static ExampleSource of(SequenceSource sequences, TextEncoder encoder) {
    return new ExampleSource() {
      @Override
      public String name() {
        return sequences.name();
      }

      @Override
      public ExampleStream open() {
        SequenceStream stream = sequences.open();
        return new ExampleStream() {
          @Override
          public boolean hasNext() {
            return stream.hasNext();
          }

          @Override
          public Example next() {
            return Example.of(encoder.encode(stream.next().residues()));
          }

          @Override
          public void close() {
            stream.close();
          }
        };
      }
    };
  }
}
