package dev.performer.server.rest;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.server.http.Call;
import java.io.IOException;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What {@code :predict} takes.
 *
 * @param isRow whether inputs came as rows, as outputs go then
 */
record PredictRequest(SignatureSpec signature, boolean isRow, Map<String, NpyArray> inputs) {
  private static final String INSTANCES = "instances";
  private static final String INPUTS = "inputs";

  /** Reads a body. @param mostRows of an input at most */
  static PredictRequest read(Call call, Map<String, SignatureSpec> signatures, int mostRows)
      throws IOException {
    RequestKeys keys = RequestKeys.of(call);
    SignatureSpec signature = signatures.get(keys.signature());
    String unknown = "Serving signature name: \"%s\" not found in signature def; it has %s";
    require(signature != null, unknown, keys.signature(), signatures.keySet());
    boolean isRow = keys.names().contains(INSTANCES);
    boolean isBoth = isRow && keys.names().contains(INPUTS);
    require(!isBoth, "expecting only one of 'inputs' or 'instances' keys to exist");
    boolean isEither = isRow || keys.names().contains(INPUTS);
    require(isEither, "Missing 'inputs' or 'instances' key");
    Map<String, TensorReader> readers = new TreeMap<>();
    signature.inputs().forEach((name, spec) -> readers.put(name, new TensorReader(spec)));
    Map<String, NpyArray> inputs = new TreeMap<>();
    try (JsonParser json = keys.at(call, isRow ? INSTANCES : INPUTS)) {
      if (isRow) {
        readRows(json, readers, mostRows);
      } else {
        readColumns(json, readers);
      }
    }
    readers.forEach((name, r) -> inputs.put(name, isRow ? r.rows() : r.value()));
    inputs.forEach((name, array) -> requireFew(name, array, mostRows));
    return new PredictRequest(signature, isRow, inputs);
  }

  private static void requireFew(String name, NpyArray array, int mostRows) {
    long rows = array.shape().length == 0 ? 1 : array.shape()[0];
    String text = "the input %s has %d rows; this server takes %d at a time at most";
    require(rows <= mostRows, text, name, rows, mostRows);
  }

  private static void readRows(JsonParser json, Map<String, TensorReader> readers, int mostRows)
      throws IOException {
    boolean isList = json.currentToken() == JsonToken.START_ARRAY;
    require(isList, "Expecting 'instances' to be an list/array");
    Boolean isNamed = null; // as the first one is
    int row = 0;
    for (; json.nextToken() != JsonToken.END_ARRAY; row++) {
      require(row < mostRows, "this server takes %d 'instances' at a time at most", mostRows);
      boolean isObject = json.currentToken() == JsonToken.START_OBJECT;
      boolean isBase64 = isObject && isBase64(json, readers);
      boolean isOwnNamed = isObject && !isBase64;
      isNamed = isNamed == null ? isOwnNamed : isNamed;
      String mixed = "Expecting %s but got %s at item %d of input list";
      String expected = isNamed ? "object" : "value/list";
      require(isNamed == isOwnNamed, mixed, expected, isObject ? "object" : "value/list", row);
      try {
        if (isOwnNamed) {
          readNamed(json, readers);
        } else {
          only(readers, INSTANCES, json, isBase64);
        }
      } catch (PerformerException e) {
        String text = "Failed to process element: %d of 'instances' list. Error: %s";
        throw new PerformerException(text.formatted(row, e.getMessage()), e);
      }
    }
    require(row > 0, "No values in 'instances' array");
  }

  /** Moves to the first key of an object. */
  private static boolean isBase64(JsonParser json, Map<String, TensorReader> readers)
      throws IOException {
    return json.nextToken() == JsonToken.FIELD_NAME
        && json.currentName().equals(Base64Object.KEY)
        && !readers.containsKey(Base64Object.KEY);
  }

  private static void only(
      Map<String, TensorReader> readers, String key, JsonParser json, boolean isBase64)
      throws IOException {
    String text = "'%s' has values without names, but the signature has the inputs %s";
    require(readers.size() == 1, text, key, readers.keySet());
    TensorReader reader = readers.values().iterator().next();
    if (isBase64) {
      reader.readBase64(json);
    } else {
      reader.read(json);
    }
  }

  private static void readNamed(JsonParser json, Map<String, TensorReader> readers)
      throws IOException {
    Set<String> names = new TreeSet<>();
    for (; json.currentToken() != JsonToken.END_OBJECT; json.nextToken()) {
      String name = json.currentName();
      TensorReader reader = readers.get(name);
      String unknown = "JSON object: does not have named input: %s; inputs are %s";
      require(reader != null, unknown, name, readers.keySet());
      json.nextToken();
      reader.read(json);
      names.add(name);
    }
    String text = "JSON object: keys %s must be equal to: %s";
    require(names.equals(readers.keySet()), text, names, readers.keySet());
  }

  private static void readColumns(JsonParser json, Map<String, TensorReader> readers)
      throws IOException {
    boolean isObject = json.currentToken() == JsonToken.START_OBJECT;
    boolean isBase64 = isObject && isBase64(json, readers);
    if (!isObject || isBase64) {
      only(readers, INPUTS, json, isBase64);
      return;
    }
    Set<String> missing = new TreeSet<>(readers.keySet());
    for (; json.currentToken() != JsonToken.END_OBJECT; json.nextToken()) {
      String name = json.currentName();
      json.nextToken();
      String unknown = "input alias not found in signature: %s; inputs are %s";
      require(readers.containsKey(name), unknown, name, readers.keySet());
      missing.remove(name);
      readers.get(name).read(json);
    }
    String text = "Missing named input: %s in 'inputs' object.";
    require(missing.isEmpty(), text, String.join(", ", missing));
  }
}
