package dev.performer.data;

/** Examples that come from a seed and their number alone, in tokens of their own. */
public interface MadeUpExamples extends IndexedExamples {
  /** Padding included. */
  Vocabulary vocabulary();
}
