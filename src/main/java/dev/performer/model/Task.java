package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Locale;

/** What a model is for, which decides its heads and its loss. */
public enum Task {
  /** Hidden states only, and a pooler if there is one. */
  @JsonProperty("encoder")
  ENCODER(Guess.NOTHING),
  /** Logits of the next token; attention is causal unless an attention entry has another value. */
  @JsonProperty("causal-lm")
  CAUSAL_LM(Guess.TOKENS),
  /** Logits of the token at each position. */
  @JsonProperty("masked-lm")
  MASKED_LM(Guess.TOKENS),
  /** Logits of classes for a whole sequence. */
  @JsonProperty("classification")
  CLASSIFICATION(Guess.CLASS),
  /** Numbers for a whole sequence. */
  @JsonProperty("regression")
  REGRESSION(Guess.NUMBERS),
  /** An encoder, and a decoder with cross attention that gives logits of the next token. */
  @JsonProperty("sequence-to-sequence")
  SEQUENCE_TO_SEQUENCE(Guess.TOKENS_OF_DECODER);

  private enum Guess {
    NOTHING,
    TOKENS,
    TOKENS_OF_DECODER,
    CLASS,
    NUMBERS
  }

  private final Guess guess;

  Task(Guess guess) {
    this.guess = guess;
  }

  /** Its name in recipes and configurations. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** Whether there are logits of tokens; the loss is their cross-entropy. */
  public boolean hasTokenLogits() {
    return guess == Guess.TOKENS || hasDecoder();
  }

  /** Whether it guesses a label of each sequence, which the data must have: a class or numbers. */
  public boolean hasLabels() {
    return guess == Guess.CLASS || hasNumbers();
  }

  /** Whether it guesses numbers; the loss is their squared error. */
  public boolean hasNumbers() {
    return guess == Guess.NUMBERS;
  }

  /** Whether a decoder reads its own tokens besides those of the encoder. */
  public boolean hasDecoder() {
    return guess == Guess.TOKENS_OF_DECODER;
  }
}
