package dev.performer.savedmodel;

import dev.performer.graph.Variables;
import dev.performer.model.Inputs;
import dev.performer.model.Mode;
import dev.performer.model.Outputs;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Pooling;
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
 * @param model the Transformer over {@code variables}
 * @param variables all of its variables
 * @param vocabulary what token ids mean; null if that is not known
 */
public record PerformerGraph(
    Ops tf, Performer model, Variables variables, ModelCard.Vocabulary vocabulary) {

  /** A signature: placeholders and what is computed from them, by the names that callers use. */
  public record Signature(
      String name, Map<String, Operand<?>> inputs, Map<String, Operand<?>> outputs) {}

  /** Builds a signature, if a model has one of its kind. */
  @FunctionalInterface
  public interface SignatureBuilder {
    /** The signature, or null if it makes no sense for this model. */
    Signature build(PerformerGraph graph);
  }

  /** The configuration. */
  public PerformerConfig config() {
    return model.config();
  }

  /** A placeholder for int32 {@code [B, L]}; L is fixed only where the model's weights fix it. */
  public Operand<TInt32> ids() {
    boolean isFixed = config().pooling() == Pooling.FLATTEN && config().hasClassifier();
    Shape shape = Shape.of(-1, isFixed ? config().maxLength() : -1);
    return tf.placeholder(TInt32.class, Placeholder.shape(shape));
  }

  /** The model without dropout on tokens, with padding as the configuration knows it. */
  public Outputs apply(Operand<TInt32> tokens) {
    return model.apply(tf, Inputs.of(tokens), Mode.inference());
  }

  /** The id of padding: the configuration's, else the vocabulary's; null if there is none. */
  public Integer padId() {
    if (config().padId() != null) {
      return config().padId();
    }
    return vocabulary == null ? null : vocabulary.padId();
  }

  /** 1 where a token is not padding, {@code [B, L]}; null if there is no padding. */
  public Operand<TFloat32> realTokens(Operand<TInt32> tokens) {
    return padId() == null
        ? null
        : tf.dtypes.cast(tf.math.notEqual(tokens, tf.constant(padId().intValue())), TFloat32.class);
  }
}
