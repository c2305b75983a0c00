package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Locale;

/** What a model is for, which decides its heads and its loss. */
public enum Task {
  /** Hidden states only, and a pooler if there is one. */
  @JsonProperty("encoder")
  ENCODER(Guess.NOTHING, false),
  /** Logits of the next token; attention is causal unless an attention entry has another value. */
  @JsonProperty("causal-lm")
  CAUSAL_LM(Guess.TOKENS, false),
  /** Logits of the token at each position. */
  @JsonProperty("masked-lm")
  MASKED_LM(Guess.TOKENS, false),
  /** Logits of classes for a whole sequence. */
  @JsonProperty("classification")
  CLASSIFICATION(Guess.CLASS, false),
  /** Numbers for a whole sequence. */
  @JsonProperty("regression")
  REGRESSION(Guess.NUMBERS, false),
  /** An encoder, and a decoder with cross attention that gives logits of the next token. */
  @JsonProperty("sequence-to-sequence")
  SEQUENCE_TO_SEQUENCE(Guess.TOKENS, true);

  private enum Guess {
    NOTHING,
    TOKENS,
    CLASS,
    NUMBERS
  }

  private final Guess guess;
  private final boolean hasDecoder;

  Task(Guess guess, boolean hasDecoder) {
    this.guess = guess;
    this.hasDecoder = hasDecoder;
  }

  /** Its name in recipes and configurations. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** Whether there are logits of tokens; the loss is their cross-entropy. */
  public boolean hasTokenLogits() {
    return guess == Guess.TOKENS;
  }

  /** Whether it guesses a label of each sequence, which the data must have: a class or numbers. */
  public boolean hasLabels() {
    return guess == Guess.CLASS || guess == Guess.NUMBERS;
  }

  /** Whether it guesses numbers; the loss is their squared error. */
  public boolean hasNumbers() {
    return guess == Guess.NUMBERS;
  }

  /** Whether a decoder reads its own tokens besides those of the encoder. */
  public boolean hasDecoder() {
    return hasDecoder;
  }
}
