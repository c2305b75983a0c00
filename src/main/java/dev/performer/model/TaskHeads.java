package dev.performer.model;

import dev.performer.graph.Variable;
import dev.performer.nn.Activation;
import dev.performer.nn.Dense;
import dev.performer.nn.Dropout;
import dev.performer.nn.Embedding;
import dev.performer.nn.Initializer;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.Parameters;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.ReduceMax;
import org.tensorflow.op.core.ReduceSum;
import org.tensorflow.types.TFloat32;

/**
 * What stands on hidden states: logits of tokens, the pooler, the classifier.
 *
 * @param config of the model
 * @param pooler dense layer with tanh, or null
 * @param transform dense layer before the logits, or null
 * @param transformNorm its norm, or null
 * @param logits {@code [E, V]}; null if tied or without logits
 * @param tiedBias {@code [V]}; null unless tied
 * @param tokens the table that tied logits use
 * @param classifier hidden layers, then the logits of classes; empty for none
 */
record TaskHeads(
    PerformerConfig config,
    Dense pooler,
    Dense transform,
    LayerNorm transformNorm,
    Dense logits,
    Variable tiedBias,
    Embedding tokens,
    List<Dense> classifier) {
  private static final float NEVER = -1e9f;

  static TaskHeads create(Parameters all, PerformerConfig config, Blocks blocks, Embedding tokens) {
    int size = config.hiddenSize();
    Dense pooler =
        config.pooler() ? Dense.create(all.in("pooler"), pooledSize(config), size) : null;
    Parameters head = all.in("head");
    boolean hasLogits = config.task().hasTokenLogits();
    boolean hasTransform = hasLogits && config.headTransform();
    Dense transform = hasTransform ? Dense.create(head.in("transform"), size, size) : null;
    LayerNorm transformNorm = hasTransform ? blocks.norm(head.in("norm")) : null;
    boolean isTied = hasLogits && config.tiedOutput();
    Dense logits =
        hasLogits && !isTied
            ? Dense.logits(head.in("logits"), size, config.vocabularySize())
            : null;
    Variable tiedBias =
        isTied
            ? head.in("logits")
                .trainable("bias", new Initializer.Constant(0), config.vocabularySize())
            : null;
    return new TaskHeads(
        config,
        pooler,
        transform,
        transformNorm,
        logits,
        tiedBias,
        tokens,
        classifier(all.in("classifier"), config));
  }

  private static List<Dense> classifier(Parameters in, PerformerConfig config) {
    List<Dense> layers = new ArrayList<>();
    if (config.hasClassifier()) {
      int size = config.pooler() ? config.hiddenSize() : pooledSize(config);
      for (int j = 0; j < config.classifierSizes().size(); j++) {
        int next = config.classifierSizes().get(j);
        layers.add(Dense.create(in.in("hidden_" + j), size, next));
        size = next;
      }
      layers.add(Dense.logits(in.in("logits"), size, config.classes()));
    }
    return List.copyOf(layers);
  }

  private static int pooledSize(PerformerConfig config) {
    return config.pooling() == Pooling.FLATTEN
        ? config.hiddenSize() * positions(config)
        : config.hiddenSize();
  }

  private static int positions(PerformerConfig config) {
    return config.maxLength() + (config.classToken() ? 1 : 0);
  }

  /** Logits of tokens, {@code [B, L, V]}, or null. */
  Operand<TFloat32> tokenLogits(Ops tf, Operand<TFloat32> x) {
    if (!config.task().hasTokenLogits()) {
      return null;
    }
    Operand<TFloat32> hidden = x;
    if (transform != null) {
      hidden = config.activation().apply(tf, transform.apply(tf, hidden));
      hidden = transformNorm.apply(tf, hidden);
    }
    return tiedBias == null
        ? logits.apply(tf, hidden)
        : tf.math.add(tokens.products(tf, hidden), tiedBias.<TFloat32>read(tf));
  }

  /**
   * One vector a sequence.
   *
   * @param x {@code [B, L, E]}
   * @param mask {@code [B, L]}, or null
   * @return {@code [B, E]}
   */
  Operand<TFloat32> pooled(Ops tf, Operand<TFloat32> x, Operand<TFloat32> mask) {
    Operand<TFloat32> pooled = pool(tf, x, config.maskPooling() ? mask : null);
    return pooler == null ? pooled : tf.math.tanh(pooler.apply(tf, pooled));
  }

  private Operand<TFloat32> pool(Ops tf, Operand<TFloat32> x, Operand<TFloat32> mask) {
    Operand<TFloat32> column = mask == null ? null : tf.expandDims(mask, tf.constant(2));
    return switch (config.pooling()) {
      case CLS -> first(tf, x);
      case FLATTEN ->
          tf.reshape(kept(tf, x, column), tf.constant(new int[] {-1, pooledSize(config)}));
      case SUM -> tf.reduceSum(kept(tf, x, column), tf.constant(1));
      case MEAN ->
          mask == null
              ? tf.math.mean(x, tf.constant(1))
              : tf.math.div(
                  tf.reduceSum(kept(tf, x, column), tf.constant(1)),
                  tf.math.maximum(
                      tf.reduceSum(mask, tf.constant(1), ReduceSum.keepDims(true)),
                      tf.constant(1f)));
      case MAX -> {
        Operand<TFloat32> shifted =
            column == null
                ? x
                : tf.math.add(
                    x, tf.math.mul(tf.math.sub(tf.constant(1f), column), tf.constant(NEVER)));
        yield tf.reduceMax(shifted, tf.constant(1), new ReduceMax.Options[0]);
      }
    };
  }

  private static Operand<TFloat32> kept(Ops tf, Operand<TFloat32> x, Operand<TFloat32> column) {
    return column == null ? x : tf.math.mul(x, column);
  }

  private Operand<TFloat32> first(Ops tf, Operand<TFloat32> x) {
    Operand<TFloat32> slice =
        tf.slice(x, tf.constant(new int[] {0, 0, 0}), tf.constant(new int[] {-1, 1, -1}));
    return tf.reshape(slice, tf.constant(new int[] {-1, config.hiddenSize()}));
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
