package dev.performer.server.grpc;

import com.google.protobuf.ByteString;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.TensorSpec;
import dev.performer.savedmodel.protos.ServingMessage;
import dev.performer.savedmodel.protos.TensorMessages;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Map;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;

/** A channel over which requests go as bytes, sound or not. */
final class GrpcClient implements AutoCloseable {
  final Channel channel;
  private final ManagedChannel owned;

  GrpcClient(int port) {
    this(NettyChannelBuilder.forAddress("127.0.0.1", port).usePlaintext().build());
  }

  GrpcClient(ManagedChannel channel) {
    this(channel, channel);
  }

  private GrpcClient(Channel channel, ManagedChannel owned) {
    this.channel = channel;
    this.owned = owned;
  }

  /** Another way to the same connection. */
  GrpcClient with(ClientInterceptor interceptor) {
    return new GrpcClient(ClientInterceptors.intercept(channel, interceptor), owned);
  }

  static MethodDescriptor<byte[], byte[]> method(String name) {
    Marshaller<byte[]> bytes =
        new Marshaller<>() {
          @Override
          public InputStream stream(byte[] value) {
            return new ByteArrayInputStream(value);
          }

          @Override
          public byte[] parse(InputStream stream) {
            try {
              return stream.readAllBytes();
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          }
        };
    return MethodDescriptor.newBuilder(bytes, bytes)
        .setType(MethodType.UNARY)
        .setFullMethodName("tensorflow.serving." + name)
        .build();
  }

  ServingMessage call(String method, ServingMessage.Builder request, String type) {
    return call(method, request.build().bytes().toByteArray(), type, CallOptions.DEFAULT);
  }

  ServingMessage call(String method, byte[] request, String type, CallOptions options) {
    byte[] response = ClientCalls.blockingUnaryCall(channel, method(method), options, request);
    try {
      return ServingMessage.parse(type, response);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The status of a call that fails. */
  Status failure(String method, ServingMessage.Builder request) {
    return failure(method, request.build().bytes().toByteArray(), CallOptions.DEFAULT);
  }

  Status failure(String method, byte[] request, CallOptions options) {
    try {
      ClientCalls.blockingUnaryCall(channel, method(method), options, request);
    } catch (StatusRuntimeException e) {
      return e.getStatus();
    }
    throw new AssertionError("the call succeeded");
  }

  static ServingMessage.Builder spec(String name, String signature) {
    return ServingMessage.of("ModelSpec").set("name", name).set("signature_name", signature);
  }

  static ServingMessage.Builder predict(ServingMessage.Builder spec, Map<String, NpyArray> inputs) {
    var request = ServingMessage.of("PredictRequest").set("model_spec", spec.build());
    inputs.forEach((name, x) -> request.put("inputs", name, tensor(x)));
    return request;
  }

  static ByteString tensor(NpyArray array) {
    DataType type =
        switch (array.type()) {
          case FLOAT32 -> DataType.DT_FLOAT;
          case FLOAT64 -> DataType.DT_DOUBLE;
          default -> DataType.valueOf("DT_" + array.type().name());
        };
    return TensorMessages.bytes(new TensorSpec("x", "x:0", type, Shape.unknown()), array);
  }

  static NpyArray output(ServingMessage response, String name) {
    return TensorMessages.array(name, response.map("outputs", ByteString.class).get(name));
  }

  @Override
  public void close() {
    owned.shutdownNow();
  }
}
