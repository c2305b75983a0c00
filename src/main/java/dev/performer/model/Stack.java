package dev.performer.model;

import dev.performer.nn.LayerNorm;
import dev.performer.nn.Parameters;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Embeddings, blocks, and a last norm or null: the encoder or only stack, or the decoder. */
record Stack(Embeddings embeddings, List<Block> blocks, LayerNorm norm) {

  /** What one pass computes: {@code [B, L, E]} before the blocks and after the last norm. */
  record Pass(Operand<TFloat32> embedded, Operand<TFloat32> hidden, List<Outputs.Layer> layers) {}

  static Stack encoder(Parameters in, PerformerConfig config, Blocks made) {
    return of(in, config, made, Embeddings.create(in, config, made), false);
  }

  /** It shares the encoder's tokens. */
  static Stack decoder(Parameters in, PerformerConfig config, Blocks made, Stack encoder) {
    var tokens = encoder.embeddings.tokens();
    return of(in, config, made, Embeddings.decoder(in, config, made, tokens), true);
  }

  private static Stack of(
      Parameters in, PerformerConfig config, Blocks made, Embeddings embeddings, boolean decodes) {
    int layers = decodes ? config.decoderLayers() : config.layers();
    List<Block> blocks = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      blocks.add(decodes ? made.decoder(in, i) : made.encoder(in, i));
    }
    LayerNorm norm = config.normalization().last() ? made.norm(in.in("final_norm")) : null;
    return new Stack(embeddings, blocks, norm);
  }

  /** Arguments as of {@link Embeddings#apply}. */
  Pass apply(
      Ops tf,
      Operand<TInt32> tokens,
      Operand<TInt32> types,
      Operand<TInt32> positions,
      Block.Context context) {
    Operand<TFloat32> embedded = embeddings.apply(tf, tokens, types, positions, context.drop());
    List<Outputs.Layer> layers = new ArrayList<>();
    Operand<TFloat32> x = embedded;
    for (int i = 0; i < blocks.size(); i++) {
      layers.add(blocks.get(i).apply(tf, x, context, i));
      x = layers.get(i).hidden();
    }
    return new Pass(embedded, norm == null ? x : norm.apply(tf, x), List.copyOf(layers));
  }
}
