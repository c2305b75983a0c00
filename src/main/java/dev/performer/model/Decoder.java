package dev.performer.model;

import dev.performer.nn.Dropout;
import dev.performer.nn.Embedding;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.Parameters;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** The stack that reads its own tokens and what the encoder made of others. */
record Decoder(
    PerformerConfig config, Embeddings embeddings, List<Block> blocks, LayerNorm finalNorm) {

  record Decoded(Operand<TFloat32> hidden, List<Outputs.Layer> layers) {}

  static Decoder create(
      Parameters parameters, PerformerConfig config, Blocks made, Embedding tokens) {
    Embeddings embeddings = Embeddings.decoder(parameters, config, made, tokens);
    List<Block> blocks =
        IntStream.range(0, config.decoderLayers())
            .mapToObj(i -> made.decoder(parameters, i))
            .toList();
    LayerNorm norm = config.normalization().last() ? made.norm(parameters.in("final_norm")) : null;
    return new Decoder(config, embeddings, blocks, norm);
  }

  /**
   * @param encoded {@code [B, L, E]}
   * @param encodedMask {@code [B, L]}, or null
   */
  Decoded apply(
      Ops tf,
      Inputs inputs,
      Operand<TFloat32> encoded,
      Operand<TFloat32> encodedMask,
      Dropout drop) {
    Operand<TInt32> tokens = inputs.decoderTokens();
    Operand<TFloat32> mask = inputs.decoderMask();
    if (mask == null) {
      mask = Sequences.maskOf(tf, tokens, config.padId());
    }
    if (config.shiftBos() != null) {
      tokens = Sequences.shifted(tf, tokens, tf.constant((int) config.shiftBos()));
      mask = mask == null ? null : Sequences.shifted(tf, mask, tf.constant(1f));
    }
    Operand<TInt32> positions = Sequences.positions(tf, tokens, 0);
    Operand<TFloat32> x = embeddings.apply(tf, tokens, null, positions, drop);
    Block.Context context =
        new Block.Context(
            mask, Performer.rotation(tf, config, positions), encoded, encodedMask, drop);
    List<Outputs.Layer> layers = new ArrayList<>();
    for (Block block : blocks) {
      Outputs.Layer layer = block.apply(tf, x, context, null);
      layers.add(layer);
      x = layer.hidden();
    }
    return new Decoded(finalNorm == null ? x : finalNorm.apply(tf, x), List.copyOf(layers));
  }
}
