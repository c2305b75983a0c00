package dev.performer.server.rest;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.server.http.Call;
import java.io.IOException;
import java.util.Set;
import java.util.TreeSet;

/** The keys of a body, and the signature it names, which may stand behind what is read by it. */
record RequestKeys(String signature, Set<String> names) {
  static RequestKeys of(Call call) throws IOException {
    String signature = ImportedModel.DEFAULT_SIGNATURE;
    Set<String> names = new TreeSet<>();
    try (JsonParser json = call.parser(true)) {
      require(json.nextToken() != null, "JSON Parse error: The document is empty");
      boolean isObject = json.currentToken() == JsonToken.START_OBJECT;
      require(isObject, "JSON Value: %s Is not object", isObject ? "" : JsonExcerpt.of(json));
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String name = json.currentName();
        names.add(name);
        json.nextToken();
        if (name.equals("signature_name")) {
          boolean isText = json.currentToken() == JsonToken.VALUE_STRING;
          require(isText, "'signature_name' key must be a string value.");
          signature = json.getText().isEmpty() ? signature : json.getText();
        }
        json.skipChildren();
      }
      require(json.nextToken() == null, "JSON Parse error: there is more behind the object");
    }
    return new RequestKeys(signature, names);
  }

  /** A parser at the value of a key that is there; the caller closes it. */
  JsonParser at(Call call, String key) throws IOException {
    JsonParser json = call.parser(true);
    json.nextToken();
    while (json.nextToken() == JsonToken.FIELD_NAME && !json.currentName().equals(key)) {
      json.nextToken();
      json.skipChildren();
    }
    json.nextToken();
    return json;
  }
}
