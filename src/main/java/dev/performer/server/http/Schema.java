package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** JSON schemas for {@link Operation}s. */
public final class Schema {
  private Schema() {}

  /** Any value. @param description in one sentence */
  public static ObjectNode any(String description) {
    return Json.object().put("description", description);
  }

  /** A value of one type: {@code string}, {@code number}, {@code integer} or {@code boolean}. */
  public static ObjectNode of(String type, String description) {
    return Json.object().put("type", type).put("description", description);
  }

  /** A list. */
  public static ObjectNode array(JsonNode items, String description) {
    ObjectNode array = of("array", description);
    array.set("items", items);
    return array;
  }

  /** An object of any keys. @param values their schema */
  public static ObjectNode map(JsonNode values, String description) {
    ObjectNode map = of("object", description);
    map.set("additionalProperties", values);
    return map;
  }

  /** An object; {@link #with} adds keys. */
  public static ObjectNode object() {
    return Json.object().put("type", "object");
  }

  /** Adds a key to an object. @return the object */
  public static ObjectNode with(ObjectNode object, String key, JsonNode schema) {
    object.withObjectProperty("properties").set(key, schema);
    return object;
  }

  /** Adds a key that must be there. @return the object */
  public static ObjectNode require(ObjectNode object, String key, JsonNode schema) {
    object.withArrayProperty("required").add(key);
    return with(object, key, schema);
  }
}
