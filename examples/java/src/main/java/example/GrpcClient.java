package example;

import com.google.protobuf.ByteString;
import example.proto.DataType;
import example.proto.ModelSpec;
import example.proto.PredictRequest;
import example.proto.PredictResponse;
import example.proto.Tensor;
import example.proto.TensorShape;
import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/** TensorFlow Serving's gRPC API: {@code GrpcClient 127.0.0.1:8500 lm}. */
public final class GrpcClient {
  private static final MethodDescriptor<PredictRequest, PredictResponse> PREDICT =
      MethodDescriptor.<PredictRequest, PredictResponse>newBuilder()
          .setType(MethodType.UNARY)
          .setFullMethodName("tensorflow.serving.PredictionService/Predict")
          .setRequestMarshaller(ProtoUtils.marshaller(PredictRequest.getDefaultInstance()))
          .setResponseMarshaller(ProtoUtils.marshaller(PredictResponse.getDefaultInstance()))
          .build();

  private GrpcClient() {}

  /** @param args HOST:PORT MODEL */
  public static void main(String[] args) {
    PredictRequest request =
        PredictRequest.newBuilder()
            .setModelSpec(ModelSpec.newBuilder().setName(args[1]).setSignatureName("serving_default"))
            .putInputs("tokens", row(1, 2, 3, 4))
            .build();
    ManagedChannel channel = ManagedChannelBuilder.forTarget(args[0]).usePlaintext().build();
    try {
      var options = CallOptions.DEFAULT.withDeadlineAfter(1, TimeUnit.MINUTES);
      print(ClientCalls.blockingUnaryCall(channel, PREDICT, options, request).getOutputsOrThrow("logits"));
    } finally {
      channel.shutdownNow();
    }
  }

  private static Tensor row(int... ids) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * ids.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(ids);
    var one = TensorShape.Dim.newBuilder().setSize(1);
    var shape = TensorShape.newBuilder().addDim(one).addDim(TensorShape.Dim.newBuilder().setSize(ids.length));
    return Tensor.newBuilder()
        .setDtype(DataType.DT_INT32)
        .setTensorShape(shape)
        .setTensorContent(ByteString.copyFrom(bytes.array()))
        .build();
  }

  private static void print(Tensor logits) {
    var content = logits.getTensorContent().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    FloatBuffer values = content.asFloatBuffer();
    if (logits.getFloatValCount() > 0) { // the other way to send numbers
      values = FloatBuffer.allocate(logits.getFloatValCount());
      logits.getFloatValList().forEach(values::put);
      values.flip();
    }
    long rows = logits.getTensorShape().getDim(1).getSize();
    int vocabulary = (int) logits.getTensorShape().getDim(2).getSize();
    float largest = Float.NEGATIVE_INFINITY;
    List<String> likeliest = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      int best = 0;
      for (int i = 1; i < vocabulary; i++) {
        best = values.get(row * vocabulary + i) > values.get(row * vocabulary + best) ? i : best;
      }
      likeliest.add("" + best);
      largest = Math.max(largest, values.get(row * vocabulary + best));
    }
    long batch = logits.getTensorShape().getDim(0).getSize();
    System.out.println("logits " + batch + " " + rows + " " + vocabulary);
    System.out.println("likeliest " + String.join(" ", likeliest));
    System.out.printf(Locale.ROOT, "largest %.4f%n", largest);
  }
}
