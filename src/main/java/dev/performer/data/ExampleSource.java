package dev.performer.data;

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
