package dev.performer.fuzz;

import com.google.protobuf.ByteString;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Changes one field of a message, wherever it stands, so that the rest stays well-formed. */
final class ProtoMutator {
  private final SplittableRandom random;
  private final List<String> texts = new ArrayList<>(List.of("", "^x", "x:7", "y".repeat(5000)));

  ProtoMutator(SplittableRandom random) {
    this.random = random;
  }

  Message mutate(Message message) {
    collect(message);
    return changed(message, 0);
  }

  /** Texts of the message, so that a name can become another one's. */
  private void collect(Object value) {
    if (value instanceof List<?> list) {
      list.stream().limit(200).forEach(this::collect);
    } else if (value instanceof Message message) {
      message.getAllFields().values().forEach(this::collect);
    } else if (value instanceof String text && texts.size() < 1000) {
      texts.add(text);
    }
  }

  private Message changed(Message message, int depth) {
    Message.Builder builder = message.toBuilder();
    List<FieldDescriptor> fields = new ArrayList<>(message.getAllFields().keySet());
    if (fields.isEmpty() || random.nextInt(12) == 0) {
      fields = message.getDescriptorForType().getFields();
    }
    if (fields.isEmpty()) {
      return message;
    }
    FieldDescriptor field = fields.get(random.nextInt(fields.size()));
    if (!field.isRepeated()) {
      if (random.nextInt(10) == 0) {
        return builder.clearField(field).build();
      }
      Object old = isMessage(field) ? builder.getField(field) : message.getField(field);
      return builder.setField(field, value(field, old, depth)).build();
    }
    int count = builder.getRepeatedFieldCount(field);
    if (count == 0) {
      return field.isMapField() || isMessage(field)
          ? message
          : builder.addRepeatedField(field, value(field, field.getDefaultValue(), depth)).build();
    }
    List<Object> values = new ArrayList<>((List<?>) builder.getField(field));
    int at = random.nextInt(count);
    switch (random.nextInt(12)) {
      case 0 -> values.remove(at);
      case 1 -> values.add(at, values.get(random.nextInt(count)));
      default -> values.set(at, value(field, values.get(at), depth));
    }
    return builder.setField(field, values).build();
  }

  private static boolean isMessage(FieldDescriptor field) {
    return field.getJavaType() == FieldDescriptor.JavaType.MESSAGE;
  }

  private Object value(FieldDescriptor field, Object old, int depth) {
    return switch (field.getJavaType()) {
      case MESSAGE -> changed((Message) old, depth + 1);
      case INT -> (int) extreme();
      case LONG -> extreme();
      case FLOAT -> random.nextBoolean() ? Float.NaN : Float.MAX_VALUE;
      case DOUBLE -> random.nextBoolean() ? Double.NaN : Double.MAX_VALUE;
      case BOOLEAN -> !(Boolean) old;
      case STRING -> texts.get(random.nextInt(texts.size()));
      case BYTE_STRING -> bytes((ByteString) old);
      case ENUM ->
          field
              .getEnumType()
              .getValues()
              .get(random.nextInt(field.getEnumType().getValues().size()));
    };
  }

  private ByteString bytes(ByteString old) {
    return switch (random.nextInt(3)) {
      case 0 -> old.substring(0, random.nextInt(old.size() + 1));
      case 1 -> old.concat(old);
      default -> ByteString.copyFrom(new byte[] {-1, -1, -1, -1, -1, -1, -1, 127});
    };
  }

  private long extreme() {
    return Mutator.EXTREMES[random.nextInt(Mutator.EXTREMES.length)];
  }
}
