package dev.performer.attention;

import dev.performer.PerformerException;
import dev.performer.graph.Algebra;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Squeeze;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TFloating;

/**
 * Causal FAVOR+ one position at a time: constant time and memory a token. The state {@code [B, H,
 * M, V+1]} is {@code Σ_j φ(k_j) [v_j | 1]}.
 */
public final class RecurrentAttention {
  private final FavorAttention attention;

  /**
   * @param attention causal, with features that depend on one position only
   * @throws PerformerException if its features depend on other positions
   */
  public RecurrentAttention(FavorAttention attention) {
    FavorConfig config = attention.config();
    if (config.convention().couplesPositions(config.kernel())) {
      throw new PerformerException(
          ("kernel %s with convention %s takes maxima or means over all positions, so it has no"
                  + " recurrent form; use convention performer")
              .formatted(config.kernel(), config.convention().label()));
    }
    this.attention = attention;
  }

  /**
   * What one position gives.
   *
   * @param state {@code [B, H, M, V+1]} after it
   * @param output {@code [B, H, V]}
   */
  public record Step<T extends TFloating>(Operand<T> state, Operand<T> output) {}

  /**
   * Takes one position in.
   *
   * @param state {@code [B, H, M, V+1]} before it, float32 or float64
   * @param query {@code [B, H, D]}
   * @param key {@code [B, H, D]}
   * @param value {@code [B, H, V]}
   */
  public <T extends TFloating> Step<T> step(
      Ops tf, Operand<T> state, Operand<T> query, Operand<T> key, Operand<T> value) {
    var axis = tf.constant(2);
    var features =
        attention
            .featureMap()
            .map(tf, tf.expandDims(query, axis), tf.expandDims(key, axis), null); // [B, H, 1, M]
    Operand<T> added = LinearAttention.state(tf, features.keys(), tf.expandDims(value, axis), null);
    Operand<T> after = tf.math.add(state, added); // [B, H, M, V+1]
    Operand<T> out =
        LinearAttention.read(tf, features.queries(), after, attention.denominator()); // [B,H,1,V]
    return new Step<>(after, tf.squeeze(out, Squeeze.axis(List.of(2L))));
  }

  /**
   * The state after a whole prompt, whose outputs {@link FavorAttention#attend} gives.
   *
   * @param keys {@code [B, H, S, D]}
   * @param values {@code [B, H, S, V]}
   * @param keyMask {@code [B, S]}, 1 = keep, or null
   * @return {@code [B, H, M, V+1]}
   */
  public <T extends TFloating> Operand<T> stateAfter(
      Ops tf, Operand<T> keys, Operand<T> values, Operand<T> keyMask) {
    var features = attention.featureMap().map(tf, keys, keys, keyMask);
    return LinearAttention.state(tf, features.keys(), values, keyMask);
  }

  /**
   * The state before any position.
   *
   * @param batch B, a scalar
   */
  public <T extends TFloating> Operand<T> emptyState(
      Ops tf, Operand<TInt32> batch, int heads, int features, int valueSize, Class<T> type) {
    Operand<TInt32> shape =
        tf.concat(
            List.of(
                tf.reshape(batch, tf.constant(new int[] {1})),
                tf.constant(new int[] {heads, features, valueSize + 1})),
            tf.constant(0));
    return tf.fill(shape, new Algebra<>(tf, type).constant(0));
  }
}
