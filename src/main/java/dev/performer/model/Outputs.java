package dev.performer.model;

import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;

/**
 * What a model computes. Everything is an operand of one graph: what is not fetched costs nothing.
 *
 * @param logits of tokens, {@code [B, L, V]} (of the decoder's, if there is one); null without a
 *     language-model head
 * @param classLogits {@code [B, classes]}, or the numbers of a regression; null without a
 *     classifier
 * @param sequence last hidden states, {@code [B, L, E]}, of the encoder if there is a decoder; with
 *     {@code maskSequence} 0 at padding
 * @param pooled {@code [B, E]}; after the pooler if there is one
 * @param embeddings what enters the first block, {@code [B, L, E]}
 * @param layers of the encoder, or of the only stack
 * @param mask {@code [B, L]} of the positions above; null where all are tokens. A class token, or
 *     the shift by {@code shiftBos}, changes it along with the tokens
 */
public record Outputs(
    Operand<TFloat32> logits,
    Operand<TFloat32> classLogits,
    Operand<TFloat32> sequence,
    Operand<TFloat32> pooled,
    Operand<TFloat32> embeddings,
    List<Layer> layers,
    Operand<TFloat32> mask) {

  /**
   * What one block computes: {@code [B, L, E]}, also behind self attention's output layer, and what
   * goes into self attention, {@code [B, H, L, D]}, queries and keys as they are compared.
   */
  public record Layer(
      Operand<TFloat32> hidden,
      Operand<TFloat32> attentionOutput,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values) {}
}
