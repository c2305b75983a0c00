/**
 * FAVOR+: attention in time and memory linear in the length, as a graph of TensorFlow ops.
 *
 * <p>Read in this order: {@link dev.performer.attention.FeatureMap} (φ), {@link
 * dev.performer.attention.LinearAttention} (the sums), {@link
 * dev.performer.attention.FavorAttention} (both together), {@link
 * dev.performer.attention.Convention} (what differs between implementations).
 *
 * <p>Letters: {@code B} batch, {@code L} query length, {@code S} key length, {@code H} heads,
 * {@code D} head size, {@code V} value size, {@code M} random features: rows of the projection, and
 * the length of a feature vector (twice that for kernels that make two features of one direction),
 * {@code R} rows of a projection where the two differ, {@code C} chunk length, {@code N} number of
 * chunks, {@code P} the projection {@code [R, D]} with one random direction ω per row. Tensors are
 * {@code [B, H, L, ·]} inside this package; a comment at the end of a line is the shape of what it
 * makes.
 *
 * <p>Public API: changes are in the change log.
 *
 * @see <a href="https://arxiv.org/abs/2009.14794">Rethinking Attention with Performers</a>
 */
package dev.performer.attention;
