package dev.performer.model;

import dev.performer.nn.Dropout;
import dev.performer.nn.Embedding;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.Parameters;
import java.util.List;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The stack that reads its own tokens and what the encoder made of others. */
record Decoder(
    PerformerConfig config, Embeddings embeddings, List<Block> blocks, LayerNorm finalNorm) {

  static Decoder create(Parameters in, PerformerConfig config, Blocks made, Embedding tokens) {
    Embeddings embeddings = Embeddings.decoder(in, config, made, tokens);
    var layers = IntStream.range(0, config.decoderLayers());
    List<Block> blocks = layers.mapToObj(i -> made.decoder(in, i)).toList();
    LayerNorm norm = config.normalization().last() ? made.norm(in.in("final_norm")) : null;
    return new Decoder(config, embeddings, blocks, norm);
  }

  /**
   * Its last hidden states, {@code [B, T, E]}.
   *
   * @param encoded {@code [B, L, E]}
   * @param encodedMask {@code [B, L]}, or null
   */
  Operand<TFloat32> apply(
      Ops tf,
      Inputs inputs,
      Operand<TFloat32> encoded,
      Operand<TFloat32> encodedMask,
      Dropout drop) {
    var read = Sequences.read(tf, inputs.decoderTokens(), inputs.decoderMask(), config, true);
    var positions = Sequences.positions(tf, read.tokens(), 0);
    Operand<TFloat32> x = embeddings.apply(tf, read.tokens(), null, positions, drop);
    var rotation = Performer.rotation(tf, config, positions);
    var context = new Block.Context(read.mask(), rotation, encoded, encodedMask, drop);
    for (Block block : blocks) {
      x = block.apply(tf, x, context, null).hidden();
    }
    return finalNorm == null ? x : finalNorm.apply(tf, x);
  }
}
