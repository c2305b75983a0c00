package dev.performer.server.grpc;

import com.google.protobuf.ByteString;
import com.google.protobuf.Descriptors.FileDescriptor;
import dev.performer.savedmodel.protos.ServingMessage;
import io.grpc.KnownLength;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServerServiceDefinition;
import io.grpc.ServiceDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.ProtoFileDescriptorSupplier;
import java.io.ByteArrayInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.util.List;

/**
 * A method of a service: one request, one response. Requests arrive as bytes, so that what is no
 * message is refused like any other wrong request.
 *
 * @param type of the request
 */
record Method(String name, String type, Answer answer) {
  /** What answers a request, in a thread that it may block. */
  interface Answer {
    /**
     * @param deadline when the caller gives up
     */
    ServingMessage to(ServingMessage request, Instant deadline);
  }

  /** A service of the API. @param answers runs an answer and sends what comes of it */
  static ServerServiceDefinition service(String name, Calls answers, List<Method> methods) {
    String full = "tensorflow.serving." + name;
    var schema = ServiceDescriptor.newBuilder(full).setSchemaDescriptor(new Definitions());
    var descriptors = methods.stream().map(method -> method.descriptor(full)).toList();
    descriptors.forEach(schema::addMethod);
    var service = ServerServiceDefinition.builder(schema.build());
    for (int i = 0; i < methods.size(); i++) {
      service.addMethod(descriptors.get(i), answers.of(methods.get(i)));
    }
    return service.build();
  }

  /** A request that has not been parsed. @param failure why it is not there, or null */
  record Request(byte[] bytes, Status failure) {}

  private MethodDescriptor<Request, ByteString> descriptor(String service) {
    return MethodDescriptor.<Request, ByteString>newBuilder(new Received(), new Sent())
        .setType(MethodType.UNARY)
        .setFullMethodName(MethodDescriptor.generateFullMethodName(service, name))
        .build();
  }

  /** For clients that ask what there is. */
  private static final class Definitions implements ProtoFileDescriptorSupplier {
    @Override
    public FileDescriptor getFileDescriptor() {
      return ServingMessage.file();
    }
  }

  private static final class Received implements Marshaller<Request> {
    @Override
    public InputStream stream(Request value) {
      return new ByteArrayInputStream(value.bytes());
    }

    @Override
    public Request parse(InputStream stream) {
      try {
        return new Request(stream.readAllBytes(), null);
      } catch (StatusRuntimeException e) { // what it is unpacked to is too large
        return new Request(new byte[0], e.getStatus());
      } catch (IOException e) {
        var status = Status.INVALID_ARGUMENT.withDescription("the request cannot be unpacked");
        return new Request(new byte[0], status);
      }
    }
  }

  private static final class Sent implements Marshaller<ByteString> {
    @Override
    public InputStream stream(ByteString value) {
      return new Known(value.newInput());
    }

    @Override
    public ByteString parse(InputStream stream) {
      try {
        return ByteString.readFrom(stream);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  /** What is available is all there is. */
  private static final class Known extends FilterInputStream implements KnownLength {
    private Known(InputStream in) {
      super(in);
    }
  }
}
