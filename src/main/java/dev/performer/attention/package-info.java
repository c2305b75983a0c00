/**
 * FAVOR+: attention in time and memory linear in the length, as a graph of TensorFlow ops.
 *
 * <p>The maths as the paper prints it: {@link dev.performer.attention.PositiveFeatures} (lemma 1)
 * and {@link dev.performer.attention.NaiveLinearAttention} (the sums). The same, fast: {@link
 * dev.performer.attention.FeatureMap} (φ), {@link dev.performer.attention.LinearAttention} (the
 * sums), {@link dev.performer.attention.FavorAttention} (both together), {@link
 * dev.performer.attention.RecurrentForm} (one position at a time). {@link
 * dev.performer.attention.FavorConfig} describes all of it: a {@link
 * dev.performer.attention.Kernel} and a {@link dev.performer.attention.Convention}, which is what
 * differs between implementations.
 *
 * <p>Letters: {@code B} batch, {@code L} query length, {@code S} key length, {@code H} heads,
 * {@code D} head size, {@code V} value size, {@code M} random directions ω, {@code P} the
 * projection {@code [M, D]} with one direction a row, {@code R} the length of a feature vector: M,
 * 2M for kernels that make two features of a direction, D without a projection. {@code C} chunk
 * length, {@code N} number of chunks. The state of the sums is {@code [B, H, V+1, R]} everywhere.
 * Tensors are {@code [B, H, L, ·]} inside this package; a comment at the end of a line is the shape
 * of what it makes.
 *
 * <p>Public API: changes are in the change log.
 *
 * @see <a href="https://arxiv.org/abs/2009.14794">Rethinking Attention with Performers</a>
 */
package dev.performer.attention;
