package dev.performer.server.http;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;

/** JSON of requests and responses. */
public final class Json {
  private static final int DEEPEST = 64;

  private static final StreamReadConstraints CONSTRAINTS =
      StreamReadConstraints.builder()
          .maxNestingDepth(DEEPEST)
          .maxNumberLength(400)
          .maxStringLength(Integer.MAX_VALUE) // the body has a limit
          .build();

  private static final JsonMapper STRICT = mapper().build();
  private static final JsonMapper NON_FINITE =
      mapper().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();

  private Json() {}

  private static JsonMapper.Builder mapper() {
    return JsonMapper.builder(JsonFactory.builder().streamReadConstraints(CONSTRAINTS).build())
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
        .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
        .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS);
  }

  /** A new object. */
  public static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  /** A new array. */
  public static ArrayNode array() {
    return JsonNodeFactory.instance.arrayNode();
  }

  static JsonNode tree(byte[] json) {
    try {
      JsonNode tree = STRICT.readTree(requireUtf8(json));
      if (tree == null || tree.isMissingNode()) {
        throw new Refusal(400, "the request has no body; expected JSON");
      }
      return tree;
    } catch (IOException e) {
      throw broken(e);
    }
  }

  static JsonParser parser(byte[] json, boolean nonFinite) {
    try {
      return (nonFinite ? NON_FINITE : STRICT).createParser(requireUtf8(json));
    } catch (IOException e) {
      throw broken(e);
    }
  }

  static Refusal broken(IOException e) {
    JsonLocation at = e instanceof JsonProcessingException known ? known.getLocation() : null;
    String place =
        at == null ? "" : "line %d, column %d: ".formatted(at.getLineNr(), at.getColumnNr());
    return new Refusal(400, "the request's body is not JSON: " + place + StrictJson.reason(e));
  }

  static byte[] bytes(JsonNode tree) {
    try {
      return STRICT.writeValueAsBytes(tree);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Jackson would take other encodings by their first bytes, and skip what it cannot decode. */
  private static byte[] requireUtf8(byte[] text) {
    CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    ByteBuffer bytes = ByteBuffer.wrap(text);
    CharBuffer piece = CharBuffer.allocate(8192);
    CoderResult result;
    do {
      result = decoder.decode(bytes, piece.clear(), true);
    } while (result.isOverflow());
    if (result.isError()) {
      throw new Refusal(400, "the request's body is not JSON: it holds bytes that are no UTF-8");
    }
    return text;
  }
}
