/**
 * Performer for Java: FAVOR+ linear attention (arXiv 2009.14794) in TensorFlow Java graphs.
 *
 * <p>The rooms, each of which may only know those below it: {@code cli}, {@code pipeline}, {@code
 * study}, {@code serving}, {@code recipe} and {@code distill}, {@code training}, {@code
 * savedmodel}, {@code checkpoint}, {@code model}, {@code nn}, {@code attention}, {@code data},
 * {@code graph}.
 *
 * <p>Programs build on {@link dev.performer.pipeline}, {@link dev.performer.attention}, {@link
 * dev.performer.serving} and what their signatures mention. Public API: changes are in the change
 * log.
 *
 * <p>Letters used for dimensions everywhere: {@code B} batch, {@code L} query length, {@code S} key
 * length, {@code H} heads, {@code D} head size, {@code V} value size, {@code M} random directions,
 * {@code C} chunk length, {@code E} model width.
 */
package dev.performer;
