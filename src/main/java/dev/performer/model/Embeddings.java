package dev.performer.model;

import dev.performer.graph.Algebra;
import dev.performer.graph.Variable;
import dev.performer.model.PerformerConfig.Positions;
import dev.performer.model.Stack.Blocks;
import dev.performer.nn.Dense.Precision;
import dev.performer.nn.Dense.Rows;
import dev.performer.nn.Dropout;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.Parameters;
import dev.performer.nn.Parameters.Initializer;
import dev.performer.nn.Sinusoids;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/**
 * Tokens, their types and positions, as the vectors that enter the first block. What a
 * configuration does not have is null.
 */
record Embeddings(
    PerformerConfig config,
    Table tokens,
    Table positions, // [maxLength, E]; one row more with a class token
    Table types,
    Variable classToken, // [E]
    LayerNorm norm) { // of the sum
  private static final Initializer SMALL = new Initializer.Normal(0.02f);

  /** Tables of a stack; a decoder's shares tokens, and has neither types nor a class token. */
  static Embeddings create(Parameters all, PerformerConfig config, Blocks blocks, Table shared) {
    Parameters in = all.in("embeddings");
    int size = config.hiddenSize();
    int kinds = shared == null ? config.tokenTypes() : 0;
    boolean hasClass = shared == null && config.classToken();
    // Sinusoids have components of size 1: smaller tokens would drown in them.
    Initializer initializer = config.positions().isOfSizeOne() ? new Initializer.Normal(1) : SMALL;
    Table tokens = shared;
    if (tokens == null) {
      tokens = Table.create(in, "token", config.vocabularySize(), size, initializer);
    }
    var positions = positions(in, config);
    var types = kinds == 0 ? null : Table.create(in, "type", kinds, size, SMALL);
    var zero = new Initializer.Constant(0);
    Variable classToken = hasClass ? in.trainable("class_token", zero, size) : null;
    LayerNorm norm = config.normalization().embeddings() ? blocks.norm(in.in("norm")) : null;
    return new Embeddings(config, tokens, positions, types, classToken, norm);
  }

  private static Table positions(Parameters in, PerformerConfig config) {
    if (!config.positions().isTable()) {
      return null;
    }
    int rows = config.positionRows();
    int size = config.hiddenSize();
    boolean isGiven = config.positions().isOfSizeOne();
    var initializer = isGiven ? new Initializer.Given(Sinusoids.table(rows, size)) : SMALL;
    return Table.create(in, "position", rows, size, initializer);
  }

  /**
   * Of ids, their mask, which may be null, and their types, {@code [B, L]}, or null for zeros, at
   * positions {@code [L]} or {@code [B, L]}: {@code [B, L, E]}, or with a class token, which has a
   * position too, one row more.
   */
  Operand<TFloat32> apply(
      Ops tf,
      Operand<TInt32> ids,
      Operand<TFloat32> mask,
      Operand<TInt32> typeIds,
      Operand<TInt32> at,
      Dropout drop) {
    Operand<TFloat32> x = tokens.apply(tf, ids); // [B, L, E]
    if (config.maskRescaling() != null) {
      x = config.maskRescaling().apply(tf, x, ids, mask);
    }
    if (types != null) {
      x = tf.math.add(x, types.apply(tf, typeIds == null ? tf.zerosLike(ids) : typeIds));
    }
    if (classToken != null) {
      x = tf.concat(List.of(classRows(tf, ids), x), tf.constant(1)); // [B, L+1, E]
    }
    if (positions != null) {
      x = tf.math.add(x, positions.apply(tf, at));
    } else if (config.positions() == Positions.SINUSOIDAL) {
      x = tf.math.add(x, Sinusoids.interleaved(tf, at, config.hiddenSize()));
    }
    return drop.apply(tf, norm == null ? x : norm.apply(tf, x), config.dropout().embeddings());
  }

  /** The class token for every row of a batch, {@code [B, 1, E]}. */
  private Operand<TFloat32> classRows(Ops tf, Operand<TInt32> ids) {
    var one = tf.array(1, config.hiddenSize());
    var shape = tf.concat(List.of(Algebra.sizes(tf, ids, 0, 1), one), tf.constant(0));
    return tf.broadcastTo(classToken.<TFloat32>read(tf), shape);
  }

  /** Vectors {@code [rows, E]}. */
  record Table(Variable rows, Rows count) {
    static Table create(Parameters in, String name, int rows, int size, Initializer initializer) {
      return new Table(in.trainable(name, initializer, rows, size), in.rows());
    }

    /** Rows, {@code [..., E]}; an id beyond them fails when the graph runs. */
    Operand<TFloat32> apply(Ops tf, Operand<TInt32> ids) {
      return tf.gather(rows.<TFloat32>read(tf), ids, tf.constant(0));
    }

    /** Products of {@code x}, {@code [..., E]}, with all rows, plus a bias: {@code [..., rows]}. */
    Operand<TFloat32> products(Ops tf, Operand<TFloat32> x, Operand<TFloat32> bias) {
      long[] shape = rows.shape().asArray();
      var transposed = tf.linalg.transpose(rows.<TFloat32>read(tf), tf.array(1, 0));
      int size = (int) shape[1];
      return Precision.FLOAT32.times(tf, x, transposed, bias, size, (int) shape[0], count);
    }
  }
}
