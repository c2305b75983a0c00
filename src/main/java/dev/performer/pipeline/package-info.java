/**
 * What a Java program calls, and the command line calls too: {@link Model} finds out how a model on
 * disk is used; {@link Predictor}, {@link Scorer}, {@link Embedder}, {@link TextGenerator} and
 * {@link Evaluator} run it; {@link FineTuneJob}, {@link TrainJob} and {@link DistillJob} make new
 * ones; {@link Importer}, {@link Converter} and {@link Exporter} turn one into another. Examples
 * are in {@code docs/library.md}.
 *
 * <p>Public API.
 */
package dev.performer.pipeline;
