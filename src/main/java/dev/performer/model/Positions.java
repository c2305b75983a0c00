package dev.performer.model;

import com.fasterxml.jackson.annotation.JsonProperty;

/** How a model knows where a token stands. */
public enum Positions {
  @JsonProperty("none")
  NONE,
  /** A trained table, added to the embeddings. */
  @JsonProperty("learned")
  LEARNED,
  /** A trained table that begins as {@link #SINUSOIDAL}. */
  @JsonProperty("learned-from-sinusoids")
  LEARNED_FROM_SINUSOIDS,
  /**
   * Added constants: column j of position p is the sine (even j) or cosine (odd j) of {@code
   * p/10000^(2⌊j/2⌋/E)}, as in Google's JAX code.
   */
  @JsonProperty("sinusoidal")
  SINUSOIDAL,
  /** Queries and keys are rotated by their position (arXiv 2104.09864), halves of a head paired. */
  @JsonProperty("rotary")
  ROTARY;

  /** Whether components are sines and cosines, in the beginning at least. */
  boolean isOfSizeOne() {
    return this == SINUSOIDAL || this == LEARNED_FROM_SINUSOIDS;
  }

  /** Whether there is a trained table. */
  public boolean isTable() {
    return this == LEARNED || this == LEARNED_FROM_SINUSOIDS;
  }
}
