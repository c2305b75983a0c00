package dev.performer.savedmodel.protos;

import com.google.protobuf.AnyProto;
import com.google.protobuf.DescriptorProtos.DescriptorProto;
import com.google.protobuf.DescriptorProtos.EnumDescriptorProto;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto.Label;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto.Type;
import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.DescriptorProtos.ServiceDescriptorProto;
import com.google.protobuf.Descriptors.DescriptorValidationException;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.WrappersProto;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.tensorflow.proto.Example;
import org.tensorflow.proto.SignatureDef;
import org.tensorflow.proto.TensorProto;

/** Reads the definitions of messages that lie beside this class, so that no code is generated. */
final class ProtoFile {
  private static final String NAME = "serving.proto";
  private static final Pattern TOKEN = Pattern.compile("\"[^\"]*\"|[\\w.]+|[^\\s\\w]");
  private static final Pattern COMMENT = Pattern.compile("//[^\n]*");
  private static final String OWN = "tensorflow.serving.";
  private static final Set<String> SCALARS =
      Set.of("string", "bytes", "bool", "float", "double", "int32", "int64", "uint32", "uint64");

  /** How messages of TensorFlow's own appear within others; what is sent is the same. */
  enum Foreign {
    /** As their bytes, to be parsed by the class that TensorFlow has for them. */
    BYTES,
    /** As what they are, to tell clients. */
    MESSAGES
  }

  private final Foreign foreign;
  private final Deque<String> tokens = new ArrayDeque<>();
  private final FileDescriptorProto.Builder file = FileDescriptorProto.newBuilder();

  private ProtoFile(Foreign foreign, String text) {
    this.foreign = foreign;
    var plain = COMMENT.matcher(text).replaceAll("");
    TOKEN.matcher(plain).results().forEach(token -> tokens.add(token.group()));
  }

  static FileDescriptor read(Foreign foreign) {
    try (InputStream in = ProtoFile.class.getResourceAsStream(NAME)) {
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return new ProtoFile(foreign, text).file();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private FileDescriptor file() {
    file.setName("tensorflow_serving/apis/" + NAME);
    while (!tokens.isEmpty()) {
      switch (tokens.peek()) {
        case "syntax" -> {
          expect("syntax", "=");
          file.setSyntax(tokens.poll().replace("\"", ""));
          expect(";");
        }
        case "package" -> {
          expect("package");
          file.setPackage(tokens.poll());
          expect(";");
        }
        case "import" -> {
          expect("import");
          tokens.poll(); // those of the descriptors below
          expect(";");
        }
        case "message" -> file.addMessageType(message());
        case "enum" -> file.addEnumType(enumeration());
        default -> file.addService(service());
      }
    }
    List<FileDescriptor> needed =
        new ArrayList<>(List.of(AnyProto.getDescriptor(), WrappersProto.getDescriptor()));
    if (foreign == Foreign.MESSAGES) {
      needed.add(Example.getDescriptor().getFile());
      needed.add(SignatureDef.getDescriptor().getFile());
      needed.add(TensorProto.getDescriptor().getFile());
    }
    needed.forEach(other -> file.addDependency(other.getName()));
    try {
      return FileDescriptor.buildFrom(file.build(), needed.toArray(FileDescriptor[]::new));
    } catch (DescriptorValidationException e) {
      throw new IllegalStateException(e);
    }
  }

  private void expect(String... expected) {
    for (String token : expected) {
      String found = tokens.poll();
      if (!token.equals(found)) {
        throw new IllegalStateException(NAME + ": expected " + token + ", not " + found);
      }
    }
  }

  /** Takes a token if it comes now. */
  private boolean take(String token) {
    return token.equals(tokens.peek()) && tokens.poll() != null;
  }

  private DescriptorProto message() {
    expect("message");
    var message = DescriptorProto.newBuilder().setName(tokens.poll());
    expect("{");
    while (!take("}")) {
      switch (tokens.peek()) {
        case "message" -> message.addNestedType(message());
        case "enum" -> message.addEnumType(enumeration());
        case "map" -> map(message);
        case "oneof" -> {
          expect("oneof");
          message.addOneofDeclBuilder().setName(tokens.poll());
          expect("{");
          while (!take("}")) {
            message.addField(field().setOneofIndex(message.getOneofDeclCount() - 1));
          }
        }
        default -> message.addField(field());
      }
    }
    return message.build();
  }

  private FieldDescriptorProto.Builder field() {
    boolean isRepeated = take("repeated");
    var field = typed(tokens.poll());
    field.setLabel(isRepeated ? Label.LABEL_REPEATED : Label.LABEL_OPTIONAL);
    return named(field);
  }

  private FieldDescriptorProto.Builder named(FieldDescriptorProto.Builder field) {
    field.setName(tokens.poll());
    expect("=");
    field.setNumber(Integer.parseInt(tokens.poll()));
    expect(";");
    return field;
  }

  private FieldDescriptorProto.Builder typed(String type) {
    var field = FieldDescriptorProto.newBuilder();
    boolean isForeign = type.startsWith("tensorflow.") && !type.startsWith(OWN);
    if (SCALARS.contains(type)) {
      return field.setType(Type.valueOf("TYPE_" + type.toUpperCase(Locale.ROOT)));
    }
    return isForeign && foreign == Foreign.BYTES
        ? field.setType(Type.TYPE_BYTES)
        : field.setTypeName(type);
  }

  /** What stands for a map: a message of its own for the entries. */
  private void map(DescriptorProto.Builder message) {
    expect("map", "<");
    var key = typed(tokens.poll()).setName("key").setNumber(1).setLabel(Label.LABEL_OPTIONAL);
    expect(",");
    var value = typed(tokens.poll()).setName("value").setNumber(2).setLabel(Label.LABEL_OPTIONAL);
    expect(">");
    var field = named(FieldDescriptorProto.newBuilder()).setLabel(Label.LABEL_REPEATED);
    String entry =
        Stream.of(field.getName().split("_"))
            .map(part -> part.substring(0, 1).toUpperCase(Locale.ROOT) + part.substring(1))
            .collect(Collectors.joining("", "", "Entry"));
    message.addField(field.setTypeName(entry));
    var type = message.addNestedTypeBuilder().setName(entry).addField(key).addField(value);
    type.getOptionsBuilder().setMapEntry(true);
  }

  private EnumDescriptorProto enumeration() {
    expect("enum");
    var type = EnumDescriptorProto.newBuilder().setName(tokens.poll());
    expect("{");
    while (!take("}")) {
      var value = type.addValueBuilder().setName(tokens.poll());
      expect("=");
      value.setNumber(Integer.parseInt(tokens.poll()));
      expect(";");
    }
    return type.build();
  }

  private ServiceDescriptorProto service() {
    expect("service");
    var service = ServiceDescriptorProto.newBuilder().setName(tokens.poll());
    expect("{");
    while (!take("}")) {
      expect("rpc");
      var method = service.addMethodBuilder().setName(tokens.poll());
      expect("(");
      method.setInputType(tokens.poll());
      expect(")", "returns", "(");
      method.setOutputType(tokens.poll());
      expect(")", ";");
    }
    return service.build();
  }
}
