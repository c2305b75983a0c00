package dev.performer.checkpoint;

import dev.performer.PerformerException;
import java.util.regex.Pattern;

/**
 * Google Research's Keras attention layers, alone in a checkpoint: known, so that one line can say
 * why they are no model.
 */
final class AttentionLayerNaming implements NamingScheme {
  private static final Pattern LAYER =
      Pattern.compile(
          "(.*/)?(query_dense_layer|query|q)/kernel(:0)?|(.*/)?output_transform/kernel(:0)?");

  @Override
  public String label() {
    return "Google Research attention layer";
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return file.tensors().keySet().stream()
        .anyMatch(
            tensor ->
                LAYER.matcher(tensor).matches() || LAYER.matcher(file.variable(tensor)).matches());
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    throw new PerformerException(
            "%s holds attention layers only, which make no Transformer; import the SavedModel that Python saved with them, or name every variable in a mapping file"
                .formatted(file.path()))
        .settledBy("mapping");
  }
}
