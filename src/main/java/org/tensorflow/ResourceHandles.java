package org.tensorflow;

import static org.tensorflow.internal.c_api.global.tensorflow.TF_SetHandleShapeAndType;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerScope;
import org.tensorflow.internal.c_api.TF_Output;
import org.tensorflow.internal.c_api.TF_Status;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.TensorShapeProto;

/**
 * Tells a graph what a resource placeholder points to, so that reads of the variable have a static
 * shape. It lives in this package because a graph's native handle is visible only here.
 */
public final class ResourceHandles {
  // Fields of TensorFlow's CppShapeInferenceResult.HandleData, for which there is no Java class.
  private static final int IS_SET = 1;
  private static final int SHAPE_AND_TYPE = 2;
  private static final int SHAPE = 1;
  private static final int TYPE = 2;

  private ResourceHandles() {}

  /**
   * Sets the element type and shape of the variable behind a handle.
   *
   * @param handle a DT_RESOURCE output of a graph's operation
   */
  @SuppressWarnings("try") // the scope owns every native object that is made while it is open
  public static void describe(Output<?> handle, DataType type, Shape shape) {
    GraphOperation operation = (GraphOperation) handle.op();
    byte[] data = handleData(type, shape).toByteArray();
    try (PointerScope scope = new PointerScope();
        Graph.Reference graph = operation.env().ref()) {
      TF_Status status = TF_Status.newStatus();
      TF_Output output =
          new TF_Output().oper(operation.getUnsafeNativeHandle()).index(handle.index());
      TF_SetHandleShapeAndType(
          graph.nativeHandle(), output, new BytePointer(data), data.length, status);
      status.throwExceptionIfNotOK();
    }
  }

  private static UnknownFieldSet handleData(DataType type, Shape shape) {
    TensorShapeProto.Builder dims = TensorShapeProto.newBuilder();
    for (long size : shape.asArray()) {
      dims.addDimBuilder().setSize(size);
    }
    ByteString shapeAndType =
        UnknownFieldSet.newBuilder()
            .addField(SHAPE, bytes(dims.build().toByteString()))
            .addField(TYPE, number(type.getNumber()))
            .build()
            .toByteString();
    return UnknownFieldSet.newBuilder()
        .addField(IS_SET, number(1))
        .addField(SHAPE_AND_TYPE, bytes(shapeAndType))
        .build();
  }

  private static UnknownFieldSet.Field bytes(ByteString value) {
    return UnknownFieldSet.Field.newBuilder().addLengthDelimited(value).build();
  }

  private static UnknownFieldSet.Field number(long value) {
    return UnknownFieldSet.Field.newBuilder().addVarint(value).build();
  }
}
