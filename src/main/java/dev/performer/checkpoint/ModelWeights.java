package dev.performer.checkpoint;

import dev.performer.data.Masking;
import dev.performer.data.NpyArray;
import dev.performer.data.Vocabulary;
import dev.performer.model.PerformerConfig;
import dev.performer.model.TextEmbedding;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A foreign checkpoint as one of our models.
 *
 * @param scheme label of the naming scheme that knew its names
 * @param weights all variables by our names, projections included
 * @param vocabulary what its token ids mean, if the scheme knows
 * @param masking which tokens a masked model was trained to guess, if the configuration has it
 * @param embedding how sequences get vectors, if the scheme knows
 * @param notes what was assumed or left out, one line each
 */
public record ModelWeights(
    String scheme,
    PerformerConfig config,
    Map<String, NpyArray> weights,
    Optional<OptimizerState> optimizer,
    Optional<Vocabulary> vocabulary,
    Optional<Masking> masking,
    Optional<TextEmbedding> embedding,
    List<String> notes) {
  /** Adam's updates so far, and averages of gradients and of their squares by our names. */
  public record OptimizerState(
      long step, Map<String, NpyArray> firstMoments, Map<String, NpyArray> secondMoments) {}

  public ModelWeights {
    weights = new LinkedHashMap<>(weights);
    notes = List.copyOf(notes);
  }

  /** The same data's model with other attention; its optimizer knew other weights. */
  public ModelWeights converted(
      PerformerConfig other, Map<String, NpyArray> otherWeights, List<String> otherNotes) {
    return new ModelWeights(
        scheme, other, otherWeights, Optional.empty(), vocabulary, masking, embedding, otherNotes);
  }
}
