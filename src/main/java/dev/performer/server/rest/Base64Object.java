package dev.performer.server.rest;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.performer.PerformerException;
import java.io.IOException;
import java.util.Base64;

/** Binary data as {@code {"b64": "…"}}. */
final class Base64Object {
  static final String KEY = "b64";

  private Base64Object() {}

  /** Reads one whose key is the parser's token. */
  static byte[] read(JsonParser json) throws IOException {
    boolean isText = json.currentName().equals(KEY) && json.nextToken() == JsonToken.VALUE_STRING;
    require(isText, "JSON Value: an object not formatted correctly for base64 data");
    String text = json.getText().strip();
    boolean isOnly = json.nextToken() == JsonToken.END_OBJECT;
    require(isOnly, "JSON Value: an object not formatted correctly for base64 data");
    try {
      boolean isForPaths = text.indexOf('-') >= 0 || text.indexOf('_') >= 0;
      return (isForPaths ? Base64.getUrlDecoder() : Base64.getDecoder()).decode(text);
    } catch (IllegalArgumentException e) {
      throw new PerformerException("Unable to base64 decode");
    }
  }
}
