package dev.performer.model;

import dev.performer.graph.Variable;
import dev.performer.model.PerformerConfig.Pooling;
import dev.performer.model.Stack.Blocks;
import dev.performer.nn.Activation;
import dev.performer.nn.Dense;
import dev.performer.nn.Dropout;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.Parameters;
import dev.performer.nn.Parameters.Initializer;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceMax;
import org.tensorflow.types.TFloat32;

/** What stands on hidden states; what a configuration does not have is null. */
record TaskHeads(
    PerformerConfig config,
    Dense pooler,
    Dense transform, // before the logits, with its norm
    LayerNorm transformNorm,
    Dense logits, // [E, V]; null if tied
    Variable tiedBias, // [V]; null unless tied
    Embeddings.Table tokens, // that tied logits use
    List<Dense> classifier) { // hidden layers, then the logits of classes; empty for none
  private static final float NEVER = -1e9f;

  static TaskHeads create(
      Parameters all, PerformerConfig config, Blocks blocks, Embeddings.Table tokens) {
    int size = config.hiddenSize();
    int vocabulary = config.vocabularySize();
    Parameters head = all.in("head");
    boolean hasLogits = config.task().hasTokenLogits();
    boolean hasTransform = hasLogits && config.headTransform();
    boolean isTied = hasLogits && config.tiedOutput();
    return new TaskHeads(
        config,
        config.pooler() ? Dense.create(all.in("pooler"), pooledSize(config), size) : null,
        hasTransform ? Dense.create(head.in("transform"), size, size) : null,
        hasTransform ? norm(head.in("norm"), config, blocks) : null,
        hasLogits && !isTied ? Dense.logits(head.in("logits"), size, vocabulary) : null,
        isTied ? head.trainable("logits/bias", new Initializer.Constant(0), vocabulary) : null,
        tokens,
        classifier(all.in("classifier"), config));
  }

  private static LayerNorm norm(Parameters in, PerformerConfig config, Blocks blocks) {
    Double own = config.headEpsilon();
    return own == null ? blocks.norm(in) : blocks.norm(in, own);
  }

  private static List<Dense> classifier(Parameters in, PerformerConfig config) {
    List<Dense> layers = new ArrayList<>();
    if (config.hasClassifier()) {
      int size = config.pooler() ? config.hiddenSize() : pooledSize(config);
      for (int next : config.classifierSizes()) {
        layers.add(Dense.create(in.in("hidden_" + layers.size()), size, next));
        size = next;
      }
      layers.add(Dense.logits(in.in("logits"), size, config.classes()));
    }
    return List.copyOf(layers);
  }

  private static int pooledSize(PerformerConfig config) {
    return config.hiddenSize() * (config.pooling() == Pooling.FLATTEN ? config.positionRows() : 1);
  }

  /** Logits of tokens, {@code [B, L, V]}, or null. */
  Operand<TFloat32> tokenLogits(Ops tf, Operand<TFloat32> x) {
    if (!config.task().hasTokenLogits()) {
      return null;
    }
    Operand<TFloat32> hidden = x;
    if (transform != null) {
      Activation own = config.headActivation();
      Activation activation = own == null ? config.activation() : own;
      hidden = activation.apply(tf, transform.apply(tf, hidden));
      hidden = transformNorm.apply(tf, hidden);
    }
    return tiedBias == null
        ? logits.apply(tf, hidden)
        : tokens.products(tf, hidden, tiedBias.read(tf));
  }

  /** One vector a sequence, {@code [B, E]}; the mask, {@code [B, L]}, may be null. */
  Operand<TFloat32> pooled(Ops tf, Operand<TFloat32> x, Operand<TFloat32> mask) {
    Operand<TFloat32> pooled = pool(tf, x, config.maskPooling() ? mask : null);
    return pooler == null ? pooled : tf.math.tanh(pooler.apply(tf, pooled));
  }

  private Operand<TFloat32> pool(Ops tf, Operand<TFloat32> x, Operand<TFloat32> mask) {
    return switch (config.pooling()) {
      case CLS -> rows(tf, tf.slice(x, tf.array(0, 0, 0), tf.array(-1, 1, -1)));
      case FLATTEN -> rows(tf, Sequences.kept(tf, x, mask));
      case SUM -> Sequences.sum(tf, x, mask);
      case MEAN -> Sequences.mean(tf, x, mask);
      case MAX -> tf.reduceMax(shifted(tf, x, mask), tf.array(1), new ReduceMax.Options[0]);
    };
  }

  private Operand<TFloat32> rows(Ops tf, Operand<TFloat32> x) {
    return tf.reshape(x, tf.array(-1, pooledSize(config)));
  }

  /** Masked positions so far down that none is a maximum. */
  private static Operand<TFloat32> shifted(Ops tf, Operand<TFloat32> x, Operand<TFloat32> mask) {
    if (mask == null) {
      return x;
    }
    var column = tf.expandDims(mask, tf.constant(2)); // [B, L, 1]
    var down = tf.math.mul(tf.math.sub(tf.constant(1f), column), tf.constant(NEVER));
    return tf.math.add(x, down);
  }

  /** {@code [B, classes]}, or null. */
  Operand<TFloat32> classLogits(Ops tf, Operand<TFloat32> pooled, Dropout drop) {
    if (classifier.isEmpty()) {
      return null;
    }
    Operand<TFloat32> x = drop.apply(tf, pooled, config.dropout().classifier());
    int last = classifier.size() - 1;
    for (Dense hidden : classifier.subList(0, last)) {
      x = Activation.RELU.apply(tf, hidden.apply(tf, x));
    }
    return classifier.get(last).apply(tf, x);
  }
}
