package dev.performer.server.rest;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import dev.performer.Excerpt;
import java.io.IOException;
import java.io.Writer;

/** The beginning of a JSON value, for a message. */
final class JsonExcerpt {
  private static final int MOST = 256;
  private static final JsonFactory FACTORY =
      JsonFactory.builder().disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS).build();

  private JsonExcerpt() {}

  /** Of the value at the parser's token, of which it reads the rest. */
  static String of(JsonParser json) throws IOException {
    if (json.currentToken() == JsonToken.END_OBJECT) {
      return "{}";
    }
    Beginning text = new Beginning();
    try (JsonGenerator generator = FACTORY.createGenerator(text)) {
      generator.copyCurrentStructure(json);
    }
    return Excerpt.of(text.builder.toString());
  }

  private static final class Beginning extends Writer {
    private final StringBuilder builder = new StringBuilder();

    @Override
    public void write(char[] more, int from, int length) {
      builder.append(more, from, Math.min(length, MOST - builder.length()));
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }
}
