package dev.performer.checkpoint;

import java.util.function.Predicate;
import java.util.regex.Pattern;

/** Google Research's Keras attention layers, known to tell in one line why they are no model. */
final class AttentionLayerNaming implements NamingScheme {
  private static final Pattern LAYER =
      Pattern.compile(
          "(.*/)?(query_dense_layer|query|q)/kernel(:0)?|(.*/)?output_transform/kernel(:0)?");

  @Override
  public boolean recognizes(WeightFile file) {
    Predicate<String> known = LAYER.asMatchPredicate();
    boolean isOther = NamingScheme.unread(file).isPresent();
    return !isOther
        && file.tensors().keySet().stream()
            .anyMatch(tensor -> known.test(tensor) || known.test(file.variable(tensor)));
  }

  @Override
  public ModelWeights map(WeightMap map) {
    throw map.wrong(
            "holds attention layers only, which make no Transformer; import the SavedModel, the .keras or the preset that Python saved with them, or name every variable in a mapping file")
        .settledBy("mapping");
  }
}
