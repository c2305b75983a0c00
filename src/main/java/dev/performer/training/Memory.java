package dev.performer.training;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.graph.Recomputation;
import dev.performer.model.CausalSegments;
import dev.performer.model.PerformerConfig;
import java.util.Locale;
import java.util.Optional;

/** What a training step keeps of the forward pass, and what it computes again. */
public enum Memory {
  /** Everything: the fastest, and the most memory. */
  @JsonProperty("plain")
  PLAIN,
  /** What enters each layer: its inside is computed once more when its gradient is due. */
  @JsonProperty("recompute")
  RECOMPUTE,
  /**
   * Of a causal model with linear attention, its states between segments of the sequence: each is
   * computed once more when its gradient is due, from the last to the first.
   */
  @JsonProperty("segments")
  SEGMENTS;

  /** Its name in recipes. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * Parts to add to a graph that was made elsewhere, if it is to be computed in parts.
   *
   * @throws dev.performer.PerformerException of segments, which need a model's layers
   */
  Optional<Recomputation> parts() {
    String text =
        "memory: segments goes with the training of a causal language model on sequences, not with labels or losses of outputs; take recompute";
    require(this != SEGMENTS, text);
    return this == RECOMPUTE ? Optional.of(new Recomputation()) : Optional.empty();
  }

  /** Refuses keys of segments that do not go together. */
  void check(Integer segmentLength, boolean truncate, Integer rows) {
    boolean isCut = this == SEGMENTS;
    String text = "%s needs memory: segments";
    require(isCut || segmentLength == null, text, "segmentLength");
    require(isCut || !truncate, text, "truncate");
    text = "segmentLength must be at least 1, not %d";
    require(segmentLength == null || segmentLength > 0, text, segmentLength);
    require(!truncate || rows != null, "truncate needs batchSequences, the number of streams");
  }

  /**
   * @throws dev.performer.PerformerException naming why a model cannot be trained so
   */
  public static void check(PerformerConfig model, LoopOptions loop) {
    if (loop.memory() != SEGMENTS) {
      return;
    }
    CausalSegments.check(model);
    if (loop.truncate()) {
      String text =
          "truncate needs positions without end (rotary, sinusoidal or none), not %s: a stream has no longest length";
      require(!model.positions().isTable(), text, model.positions());
      require(!loop.xla(), "truncate and xla do not go together");
      text = "truncate and shiftBos do not go together: a begin token would stand in every batch";
      require(model.shiftBos() == null, text);
    }
  }
}
