package dev.performer.nn;

import com.fasterxml.jackson.annotation.JsonProperty;

/** The two ways to compute a variance; in float32 they differ in the last digits. */
public enum VarianceFormula {
  /** {@code mean((x − mean(x))²)}: Keras, PyTorch. */
  @JsonProperty("two-pass")
  TWO_PASS,
  /** {@code mean(x²) − mean(x)²}: Flax. */
  @JsonProperty("mean-of-squares")
  MEAN_OF_SQUARES
}
