package dev.performer.server.rest;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;

/** Outputs as JSON: rows, or each whole; without its name where there is only one. */
final class TensorWriter {
  private static final JsonFactory FACTORY =
      JsonFactory.builder().disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS).build();

  private final JsonGenerator json;
  private final Map<String, Values> outputs = new TreeMap<>();

  private TensorWriter(JsonGenerator json, Map<String, NpyArray> outputs) {
    this.json = json;
    outputs.forEach((name, array) -> this.outputs.put(name, new Values(name, array)));
  }

  /** The body of a response. @param isRow whether each row has its own value */
  static byte[] write(Map<String, NpyArray> outputs, boolean isRow) throws IOException {
    return document(json -> new TensorWriter(json, outputs).write(isRow));
  }

  interface Content {
    void write(JsonGenerator json) throws IOException;
  }

  /** An object whose fields are written by someone else. */
  static byte[] document(Content content) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = FACTORY.createGenerator(bytes)) {
      json.writeStartObject();
      content.write(json);
      json.writeEndObject();
    }
    return bytes.toByteArray();
  }

  private void write(boolean isRow) throws IOException {
    if (!isRow) {
      json.writeFieldName("outputs");
      each(0);
      return;
    }
    long rows = rows();
    json.writeArrayFieldStart("predictions");
    for (long row = 0; row < rows; row++) {
      each(1);
    }
    json.writeEndArray();
  }

  private long rows() {
    long rows = -1;
    for (Values output : outputs.values()) {
      String scalar =
          "Tensor name: %s has no shape information, so no rows; use 'inputs' in place of 'instances'";
      require(output.shape.length > 0, scalar, output.name);
      rows = rows < 0 ? output.shape[0] : rows;
      String other =
          "Tensor name: %s has inconsistent batch size: %d expecting: %d; use 'inputs' in place of 'instances'";
      require(rows == output.shape[0], other, output.name, output.shape[0], rows);
    }
    return rows;
  }

  private void each(int level) throws IOException {
    boolean isNamed = outputs.size() != 1;
    if (isNamed) {
      json.writeStartObject();
    }
    for (Values output : outputs.values()) {
      if (isNamed) {
        json.writeFieldName(output.name);
      }
      output.write(json, level);
    }
    if (isNamed) {
      json.writeEndObject();
    }
  }

  /** The elements of an array, one after the other. */
  private static final class Values {
    private final String name;
    private final long[] shape;
    private final NpyType type;
    private final ByteBuffer rest;

    private Values(String name, NpyArray array) {
      this.name = name;
      shape = array.shape();
      type = array.type();
      rest = array.buffer();
    }

    private void write(JsonGenerator json, int level) throws IOException {
      if (level >= shape.length) {
        next(json);
        return;
      }
      json.writeStartArray();
      for (long i = 0; i < shape[level]; i++) {
        write(json, level + 1);
      }
      json.writeEndArray();
    }

    private void next(JsonGenerator json) throws IOException {
      switch (type) {
        case FLOAT32 -> json.writeNumber(rest.getFloat());
        case FLOAT64 -> json.writeNumber(rest.getDouble());
        case INT8 -> json.writeNumber(rest.get());
        case INT16 -> json.writeNumber(rest.getShort());
        case INT32 -> json.writeNumber(rest.getInt());
        case INT64 -> json.writeNumber(rest.getLong());
        case UINT8 -> json.writeNumber(rest.get() & 0xff);
        case UINT16 -> json.writeNumber(rest.getShort() & 0xffff);
        case UINT32 -> json.writeNumber(rest.getInt() & 0xffffffffL);
        case BOOL -> json.writeBoolean(rest.get() != 0);
        case STRING -> {
          byte[] string = new byte[rest.getInt()];
          rest.get(string);
          text(json, string);
        }
      }
    }

    /** Of what is binary by its name, or no UTF-8, base64. */
    private void text(JsonGenerator json, byte[] string) throws IOException {
      if (!name.endsWith("_bytes")) {
        try {
          var decoder = StandardCharsets.UTF_8.newDecoder();
          json.writeString(decoder.decode(ByteBuffer.wrap(string)).toString());
          return;
        } catch (CharacterCodingException e) {
          // It is no text.
        }
      }
      json.writeStartObject();
      json.writeStringField(Base64Object.KEY, Base64.getEncoder().encodeToString(string));
      json.writeEndObject();
    }
  }
}
