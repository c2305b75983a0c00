package dev.performer.training;

import dev.performer.data.LetterTokenizer;
import dev.performer.data.SequenceSource;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;

/**
 * What a model is trained on.
 *
 * @param tokenizer between texts and the model's tokens
 * @param train read again and again
 * @param validation for evaluation only
 */
public record TrainingData(Tokenizer tokenizer, SequenceSource train, SequenceSource validation) {
  /** Data of single letters. */
  public TrainingData(Vocabulary vocabulary, SequenceSource train, SequenceSource validation) {
    this(new LetterTokenizer(vocabulary), train, validation);
  }

  /** The model's tokens. */
  public Vocabulary vocabulary() {
    return tokenizer.vocabulary();
  }
}
