package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.LinkedHashMap;
import java.util.Map;

/** A route and its description, from which the OpenAPI document is made. */
public final class Operation {
  final Api api;
  final String method;
  final String path;
  final Handler handler;
  final Map<String, String> queries = new LinkedHashMap<>();
  String summary = "";
  String requestType = "application/json";
  JsonNode request;
  final Map<String, JsonNode> responses = new LinkedHashMap<>();
  boolean isOpen;
  boolean isControl;

  Operation(Api api, String method, String path, Handler handler) {
    this.api = api;
    this.method = method;
    this.path = path;
    this.handler = handler;
  }

  /** Describes it in one sentence. */
  public Operation summary(String sentence) {
    summary = sentence;
    return this;
  }

  /** Describes a parameter of the query. */
  public Operation query(String name, String sentence) {
    queries.put(name, sentence);
    return this;
  }

  /** Describes the JSON of the request by a JSON schema. */
  public Operation request(JsonNode schema) {
    request = schema;
    return this;
  }

  /** Describes a request of bytes. */
  public Operation request(String type) {
    requestType = type;
    request = Json.object().put("type", "string").put("format", "binary");
    return this;
  }

  /** Describes the JSON of the response by a JSON schema. */
  public Operation response(JsonNode schema) {
    return response("application/json", schema);
  }

  /** Describes the response of a type, such as {@code text/event-stream}. */
  public Operation response(String type, JsonNode schema) {
    responses.put(type, schema);
    return this;
  }

  /** Takes calls without a key. */
  public Operation open() {
    isOpen = true;
    return this;
  }

  /** Takes calls whatever the load, and while the server drains. */
  Operation control() {
    isControl = true;
    return this;
  }
}
