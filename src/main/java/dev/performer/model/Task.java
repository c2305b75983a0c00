package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonProperty;

/** What a model is for, which decides its heads. */
public enum Task {
  /** Hidden states only, and a pooler if there is one. */
  @JsonProperty("encoder")
  ENCODER,
  /** Logits of the next token; attention is causal unless an attention entry has another value. */
  @JsonProperty("causal-lm")
  CAUSAL_LM,
  /** Logits of the token at each position. */
  @JsonProperty("masked-lm")
  MASKED_LM,
  /** Logits of classes for a whole sequence. */
  @JsonProperty("classification")
  CLASSIFICATION,
  /** Numbers for a whole sequence. */
  @JsonProperty("regression")
  REGRESSION,
  /** An encoder, and a decoder with cross attention that gives logits of the next token. */
  @JsonProperty("sequence-to-sequence")
  SEQUENCE_TO_SEQUENCE;

  /** Whether there are logits of tokens. */
  public boolean hasTokenLogits() {
    return this == CAUSAL_LM || this == MASKED_LM || this == SEQUENCE_TO_SEQUENCE;
  }
}
