package dev.performer.model;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.nn.VarianceFormula;

/**
 * Where layer norms stand and what they compute.
 *
 * @param position before or after each part of a block
 * @param epsilon added to the variance
 * @param formula of the variance
 * @param embeddings whether the sum of the embeddings is normalised
 * @param last whether the output of the last block is
 */
public record Normalization(
    Position position, double epsilon, VarianceFormula formula, boolean embeddings, boolean last) {

  /** Where the norms of a block stand. */
  public enum Position {
    /** {@code x + f(norm(x))}. */
    @JsonProperty("pre")
    PRE,
    /** {@code norm(x + f(x))}. */
    @JsonProperty("post")
    POST,
    /**
     * As {@link #PRE}, but attention takes its keys and values from x itself: Model Garden's
     * TransformerScaffold with {@code norm_first}.
     */
    @JsonProperty("pre-query")
    PRE_QUERY
  }

  /** Checks the numbers. */
  public Normalization {
    require(position != null && formula != null, "normalization needs a position and a formula");
    require(epsilon >= 0, "normalization.epsilon must be 0 or more, not %s", epsilon);
  }
}
