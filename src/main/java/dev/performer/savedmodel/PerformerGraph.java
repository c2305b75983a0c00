package dev.performer.savedmodel;

import dev.performer.model.Performer;
import dev.performer.model.Performer.Inputs;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig;
import dev.performer.model.PerformerConfig.Pooling;
import dev.performer.model.Sequences;
import dev.performer.nn.Dropout;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * A model in a graph, from which signatures are cut. The graph stays its maker's.
 *
 * @param tf where ops are added
 * @param vocabulary what token ids mean; null if that is not known
 */
record PerformerGraph(Ops tf, Performer model, ModelCard.Vocabulary vocabulary) {

  /** A signature: placeholders and what is computed from them, by the names that callers use. */
  record Signature(String name, Map<String, Operand<?>> inputs, Map<String, Operand<?>> outputs) {}

  PerformerConfig config() {
    return model.config();
  }

  /** A placeholder for int32. */
  Operand<TInt32> ints(long... shape) {
    return tf.placeholder(TInt32.class, Placeholder.shape(Shape.of(shape)));
  }

  /** A placeholder for int32 {@code [B, L]}; L is fixed only where the model's weights fix it. */
  Operand<TInt32> ids() {
    boolean isFixed = config().pooling() == Pooling.FLATTEN && config().hasClassifier();
    return ints(-1, isFixed ? config().maxLength() : -1);
  }

  /** The model without dropout on tokens, with padding as the configuration knows it. */
  Outputs apply(Operand<TInt32> tokens) {
    return model.apply(tf, Inputs.of(tokens), Dropout.none());
  }

  /**
   * 1 where a token is not padding, {@code [B, L]}; null if there is no padding. Its id is the
   * configuration's, else the vocabulary's.
   */
  Operand<TFloat32> realTokens(Operand<TInt32> tokens) {
    Integer ofVocabulary = vocabulary == null ? null : vocabulary.padId();
    return Sequences.maskOf(tf, tokens, config().padId() == null ? ofVocabulary : config().padId());
  }
}
