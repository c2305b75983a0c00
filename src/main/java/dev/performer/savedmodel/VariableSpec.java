package dev.performer.savedmodel;

import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;

/**
 * One variable as a SavedModel describes it.
 *
 * @param name unique in the model, without {@code :0}
 * @param node the node of the main graph that makes its handle
 * @param type element type
 * @param shape static shape
 * @param trainable whether Python marked it so; without any mark, whether it is floating point
 * @param checkpointKey where {@code variables/} stores it; empty if it is not stored
 * @param slice the part of the stored tensor it is, as RestoreV2 writes it; empty for all of it
 */
public record VariableSpec(
    String name,
    String node,
    DataType type,
    Shape shape,
    boolean trainable,
    String checkpointKey,
    String slice) {

  /** Number of elements; 0 if the shape is not fully known. */
  public long size() {
    return shape.hasUnknownDimension() ? 0 : shape.size();
  }
}
