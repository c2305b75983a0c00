package dev.performer.training;

import dev.performer.data.SequenceSource;
import dev.performer.data.Vocabulary;

/**
 * What a model is trained on.
 *
 * @param vocabulary the model's tokens
 * @param train read again and again
 * @param validation for evaluation only
 */
public record TrainingData(
    Vocabulary vocabulary, SequenceSource train, SequenceSource validation) {}
