package dev.performer.training;

import dev.performer.model.Inputs;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * What a decoder reads in training: the right tokens, which the model shifts.
 *
 * @param tokens placeholder, {@code [B, T]}
 * @param mask placeholder, {@code [B, T]}, 1 for real tokens
 */
record DecoderInputs(Operand<TInt32> tokens, Operand<TFloat32> mask) {

  static DecoderInputs create(Ops tf) {
    var anyBatch = Placeholder.shape(Shape.of(-1, -1));
    return new DecoderInputs(
        tf.placeholder(TInt32.class, anyBatch), tf.placeholder(TFloat32.class, anyBatch));
  }

  static Inputs joined(Inputs inputs, Optional<DecoderInputs> decoder) {
    return decoder.map(d -> inputs.withDecoder(d.tokens, d.mask)).orElse(inputs);
  }

  /** Adds a batch's tensors, if there is a decoder. */
  static Feed fed(Feed feed, Optional<DecoderInputs> decoder, LabelledBatch batch) {
    decoder.ifPresent(
        d -> {
          Output<?> tokens = d.tokens.asOutput();
          feed.put(tokens, batch.targets(), batch.rows(), batch.guesses());
          feed.put(d.mask.asOutput(), batch.decoderMask(), batch.rows(), batch.guesses());
        });
    return feed;
  }
}
