package dev.performer.data;

import java.util.Iterator;

/** Sequences one after the other. Whoever opened it closes it. */
public interface SequenceStream extends Iterator<ProteinSequence>, AutoCloseable {
  @Override
  void close();
}
