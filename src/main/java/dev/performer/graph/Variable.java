package dev.performer.graph;

import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.family.TType;

/**
 * A resource variable of a graph. It holds no native memory of its own: the session that runs the
 * graph owns the value.
 *
 * @param name unique in its graph, with {@code /} between scopes and without {@code :0}
 * @param handle the DT_RESOURCE output of its {@code VarHandleOp}; or its value
 * @param trainable whether an optimizer may change it (a projection matrix is not)
 * @param checkpointKey the key under which it is stored in a TF2 object checkpoint
 */
public record Variable(
    String name,
    Output<?> handle,
    Class<? extends TType> type,
    Shape shape,
    boolean trainable,
    String checkpointKey) {

  /** Adds a handle. Without a shared name all unnamed variables would be one and the same. */
  static Output<?> handle(
      Ops tf, String operation, String sharedName, Class<? extends TType> type, Shape shape) {
    var builder = tf.scope().opBuilder("VarHandleOp", operation);
    builder.setAttr("dtype", Tensors.dataType(type)).setAttr("shape", shape);
    return builder.setAttr("shared_name", sharedName).build().output(0);
  }

  public Variable withCheckpointKey(String key) {
    return new Variable(name, handle, type, shape, trainable, key);
  }

  /** The same, which no optimizer changes. */
  public Variable frozen() {
    return new Variable(name, handle, type, shape, false, checkpointKey);
  }

  public Variable withType(Class<? extends TType> other) {
    return new Variable(name, handle, other, shape, trainable, checkpointKey);
  }

  public Variable notTrained() {
    return new Variable(name, handle, type, shape, false, checkpointKey);
  }

  /** The same where its value is at hand: reading it adds nothing. */
  public Variable ofValue(Operand<?> value) {
    return withHandle(value.asOutput());
  }

  Variable withHandle(Output<?> other) {
    return new Variable(name, other, type, shape, trainable, checkpointKey);
  }

  /** Adds an op that reads the value; its gradient with respect to {@link #handle()} is dense. */
  @SuppressWarnings({"unchecked", "rawtypes"})
  public <T extends TType> Operand<T> read(Ops tf) {
    boolean isValue = handle.dataType() != DataType.DT_RESOURCE;
    return isValue ? (Operand<T>) handle : tf.readVariableOp((Output) handle, (Class) type);
  }
}
