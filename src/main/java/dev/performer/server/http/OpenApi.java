package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.MatchResult;

/** The OpenAPI 3.1 document of routes. */
final class OpenApi {
  private static final String KEY = "key";

  private OpenApi() {}

  static JsonNode document(List<Operation> operations, String version) {
    ObjectNode document = Json.object().put("openapi", "3.1.0");
    document.putObject("info").put("title", "Performer for Java").put("version", version);
    document.putArray("servers").addObject().put("url", "/");
    ObjectNode components = document.putObject("components");
    components
        .putObject("securitySchemes")
        .putObject(KEY)
        .put("type", "http")
        .put("scheme", "bearer");
    ObjectNode schemas = components.putObject("schemas");
    ObjectNode paths = document.putObject("paths");
    Map<String, Operation> sorted = new TreeMap<>();
    operations.forEach(one -> sorted.put(one.path + " " + one.method, one));
    for (Operation one : sorted.values()) {
      schemas.set(errorName(one.api), schemaOf(one.api.error(new Failure(400, "…", null, null))));
      paths.withObjectProperty(one.path).set(one.method.toLowerCase(Locale.ROOT), describe(one));
    }
    return document;
  }

  private static ObjectNode describe(Operation one) {
    ObjectNode described = Json.object();
    described.putArray("tags").add(one.api.name());
    described.put("operationId", id(one)).put("summary", one.summary);
    var parameters = Json.array();
    for (MatchResult name : RouteTable.PARAMETER.matcher(one.path).results().toList()) {
      parameters.add(parameter(name.group(1), "path").put("required", true));
    }
    one.queries.forEach(
        (name, sentence) -> parameters.add(parameter(name, "query").put("description", sentence)));
    if (!parameters.isEmpty()) {
      described.set("parameters", parameters);
    }
    if (one.request != null) {
      ObjectNode body = described.putObject("requestBody").put("required", true);
      content(body, one.requestType, one.request);
    }
    ObjectNode responses = described.putObject("responses");
    ObjectNode good = responses.putObject("200").put("description", "What was called for.");
    one.responses.forEach((type, schema) -> content(good, type, schema));
    ObjectNode wrong = responses.putObject("default").put("description", "What went wrong.");
    String error = "#/components/schemas/" + errorName(one.api);
    content(wrong, "application/json", Json.object().put("$ref", error));
    var security = described.putArray("security");
    if (!one.isOpen) {
      security.addObject().putArray(KEY);
    }
    security.addObject(); // where the server has no key
    return described;
  }

  private static ObjectNode parameter(String name, String in) {
    ObjectNode parameter = Json.object().put("name", name).put("in", in);
    parameter.putObject("schema").put("type", "string");
    return parameter;
  }

  private static void content(ObjectNode owner, String type, JsonNode schema) {
    owner.withObjectProperty("content").putObject(type).set("schema", schema);
  }

  private static String id(Operation one) {
    String path = one.path.replaceAll("[^A-Za-z0-9]+", "_").replaceAll("^_|_$", "");
    return one.method.toLowerCase(Locale.ROOT) + "_" + path;
  }

  private static String errorName(Api api) {
    return api.name() + "_error";
  }

  /** The schema of an example. */
  private static ObjectNode schemaOf(JsonNode example) {
    ObjectNode schema = Json.object();
    if (example.isObject()) {
      schema.put("type", "object");
      ObjectNode properties = schema.putObject("properties");
      example.fields().forEachRemaining(e -> properties.set(e.getKey(), schemaOf(e.getValue())));
    } else if (example.isTextual()) {
      schema.put("type", "string");
    } else if (example.isIntegralNumber()) {
      schema.put("type", "integer");
    } else { // null in the example
      schema.putArray("type").add("string").add("null");
    }
    return schema;
  }
}
