package dev.performer.model;

import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * What a model reads.
 *
 * @param tokens {@code [B, L]}
 * @param mask {@code [B, L]}, 1 = token, 0 = padding; null where {@code padId} decides, or for no
 *     padding
 * @param tokenTypes {@code [B, L]}; null for zeros
 * @param decoderTokens {@code [B, T]}; null unless there is a decoder
 * @param decoderMask {@code [B, T]}; null as {@code mask}
 */
public record Inputs(
    Operand<TInt32> tokens,
    Operand<TFloat32> mask,
    Operand<TInt32> tokenTypes,
    Operand<TInt32> decoderTokens,
    Operand<TFloat32> decoderMask) {

  /** Tokens, with padding known by {@code padId} only. */
  public static Inputs of(Operand<TInt32> tokens) {
    return new Inputs(tokens, null, null, null, null);
  }

  /** Tokens and their mask, which may be null. */
  public static Inputs of(Operand<TInt32> tokens, Operand<TFloat32> mask) {
    return new Inputs(tokens, mask, null, null, null);
  }

  /** With token types. */
  public Inputs withTokenTypes(Operand<TInt32> types) {
    return new Inputs(tokens, mask, types, decoderTokens, decoderMask);
  }

  /** With the decoder's tokens and their mask, which may be null. */
  public Inputs withDecoder(Operand<TInt32> ofDecoder, Operand<TFloat32> maskOfDecoder) {
    return new Inputs(tokens, mask, tokenTypes, ofDecoder, maskOfDecoder);
  }
}
