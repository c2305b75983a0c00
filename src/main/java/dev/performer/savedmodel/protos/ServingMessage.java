package dev.performer.savedmodel.protos;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import dev.performer.savedmodel.protos.ProtoFile.Foreign;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A message of TensorFlow Serving's API, by the names of its fields. Messages of TensorFlow's own
 * within it are bytes. Immutable.
 */
public final class ServingMessage {
  private static final FileDescriptor FILE = ProtoFile.read(Foreign.BYTES);

  private final Message message;

  private ServingMessage(Message message) {
    this.message = message;
  }

  /** The definitions, as clients have them. */
  public static FileDescriptor file() {
    return ProtoFile.read(Foreign.MESSAGES);
  }

  private static Descriptor type(String name) {
    return FILE.findMessageTypeByName(name);
  }

  /** Reads one. @throws IOException if the bytes are none of this type */
  public static ServingMessage parse(String type, byte[] bytes) throws IOException {
    CodedInputStream in = CodedInputStream.newInstance(bytes);
    in.enableAliasing(true);
    try {
      var builder = DynamicMessage.newBuilder(type(type)).mergeFrom(in);
      in.checkLastTagWas(0);
      return new ServingMessage(builder.build());
    } catch (InvalidProtocolBufferException e) {
      throw e.unwrapIOException();
    }
  }

  /** Makes one of no fields. */
  public static Builder of(String type) {
    return new Builder(type(type));
  }

  /** What the fields of a message are given. */
  public static final class Builder {
    private final DynamicMessage.Builder builder;

    private Builder(Descriptor type) {
      builder = DynamicMessage.newBuilder(type);
    }

    private FieldDescriptor field(String name) {
      return ServingMessage.field(builder.getDescriptorForType(), name);
    }

    /**
     * Sets a field, or adds to a repeated one.
     *
     * @param value a message, text, number or bytes; the number of an enum's value
     */
    public Builder set(String name, Object value) {
      FieldDescriptor field = field(name);
      Object given = value instanceof ServingMessage own ? own.message : value;
      if (field.getType() == FieldDescriptor.Type.ENUM) {
        given = field.getEnumType().findValueByNumberCreatingIfUnknown((Integer) value);
      }
      if (field.isRepeated()) {
        builder.addRepeatedField(field, given);
      } else {
        builder.setField(field, given);
      }
      return this;
    }

    /** Adds an entry to a map. */
    public Builder put(String name, String key, Object value) {
      FieldDescriptor field = field(name);
      var entry = DynamicMessage.newBuilder(field.getMessageType());
      entry.setField(ServingMessage.field(field.getMessageType(), "key"), key);
      entry.setField(ServingMessage.field(field.getMessageType(), "value"), value);
      builder.addRepeatedField(field, entry.build());
      return this;
    }

    public ServingMessage build() {
      return new ServingMessage(builder.build());
    }
  }

  private static FieldDescriptor field(Descriptor type, String name) {
    FieldDescriptor field = type.findFieldByName(name);
    if (field == null) {
      throw new IllegalArgumentException(type.getFullName() + " has no field " + name);
    }
    return field;
  }

  private Object value(String name) {
    return message.getField(field(message.getDescriptorForType(), name));
  }

  /** Whether a field that may be absent is there. */
  public boolean has(String name) {
    return message.hasField(field(message.getDescriptorForType(), name));
  }

  /** A text; empty if it is absent. */
  public String text(String name) {
    return (String) value(name);
  }

  /** A whole number, or that of an enum's value; 0 if it is absent. */
  public long number(String name) {
    Object value = value(name);
    return value instanceof EnumValueDescriptor e ? e.getNumber() : ((Number) value).longValue();
  }

  /** A floating-point number; 0 if it is absent. */
  public double real(String name) {
    return ((Number) value(name)).doubleValue();
  }

  /** A message; one without fields if it is absent. */
  public ServingMessage part(String name) {
    return new ServingMessage((Message) value(name));
  }

  /** The messages of a repeated field. */
  public List<ServingMessage> parts(String name) {
    List<ServingMessage> parts = new ArrayList<>();
    ((List<?>) value(name)).forEach(part -> parts.add(new ServingMessage((Message) part)));
    return parts;
  }

  /** The elements of a repeated field of texts, numbers or bytes. */
  public <T> List<T> all(String name, Class<T> type) {
    return ((List<?>) value(name)).stream().map(type::cast).toList();
  }

  /** The entries of a map with texts for keys, of which the last counts where two have one key. */
  public <T> Map<String, T> map(String name, Class<T> type) {
    Map<String, T> entries = new TreeMap<>();
    for (ServingMessage entry : parts(name)) {
      entries.put(entry.text("key"), type.cast(entry.value("value")));
    }
    return entries;
  }

  /** The serialized {@code tf.Example}s of an Input, each with the context that they share. */
  public List<byte[]> examples() {
    ServingMessage plain = part("example_list");
    ServingMessage shared = part("example_list_with_context");
    ByteString context = (ByteString) shared.value("context");
    boolean isShared = has("example_list_with_context");
    return (isShared ? shared : plain)
        .all("examples", ByteString.class).stream()
            .map(example -> context.concat(example).toByteArray()) // is one message
            .toList();
  }

  /** What is sent. */
  public ByteString bytes() {
    return message.toByteString();
  }

  @Override
  public String toString() {
    return message.getDescriptorForType().getName();
  }
}
