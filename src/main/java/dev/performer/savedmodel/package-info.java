/**
 * SavedModels in and out. Read in this order: {@link dev.performer.savedmodel.SavedModelDirectory}
 * (read and checked before TensorFlow sees it), {@link dev.performer.savedmodel.ImportedModel} (a
 * flat graph with variables), {@link dev.performer.savedmodel.SavedModelExporter} (a new model) and
 * {@link dev.performer.savedmodel.WeightReplacement} (an imported model with new weights). {@link
 * dev.performer.savedmodel.ModelCard} is what neither format holds.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.savedmodel;
