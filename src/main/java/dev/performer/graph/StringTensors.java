package dev.performer.graph;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.TensorProto;

/**
 * The strings of a constant. Python writes them one by one; TensorFlow's runtime, when it writes a
 * graph down, packs them: first all lengths, then all bytes.
 */
public final class StringTensors {
  private StringTensors() {}

  /** All of a tensor in C order. @throws IllegalArgumentException if it is damaged or of numbers */
  public static List<ByteString> strings(TensorProto tensor) {
    if (tensor.getDtype() != DataType.DT_STRING) {
      throw new IllegalArgumentException("a tensor of " + tensor.getDtype() + " holds no strings");
    }
    int count = Math.toIntExact(TensorSizes.elements(tensor.getTensorShape()));
    List<ByteString> strings = new ArrayList<>(tensor.getStringValList());
    if (strings.isEmpty() && !tensor.getTensorContent().isEmpty()) {
      return unpack(tensor.getTensorContent(), count);
    }
    while (strings.size() < count) { // repeated last values may be left out
      strings.add(strings.isEmpty() ? ByteString.EMPTY : strings.get(strings.size() - 1));
    }
    return strings;
  }

  private static List<ByteString> unpack(ByteString content, int count) {
    CodedInputStream in = content.newCodedInput();
    try {
      List<Integer> lengths = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        lengths.add(in.readRawVarint32());
      }
      List<ByteString> strings = new ArrayList<>();
      for (int length : lengths) {
        strings.add(ByteString.copyFrom(in.readRawBytes(length)));
      }
      return strings;
    } catch (IOException e) {
      throw new IllegalArgumentException("a constant's strings are damaged", e);
    }
  }

  /** The same tensor with its strings one by one. */
  public static TensorProto unpacked(TensorProto tensor) {
    return tensor.toBuilder()
        .clearTensorContent()
        .clearStringVal()
        .addAllStringVal(strings(tensor))
        .build();
  }
}
