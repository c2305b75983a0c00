package dev.performer.server.http;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import java.time.Instant;
import java.util.Map;

/** One request and its response. Safe for many threads; a response after the first is dropped. */
public interface Call {
  /** The decoded value of a name in the path's template. */
  String parameter(String name);

  /** The query's parameters; of one that comes twice, the last. */
  Map<String, String> query();

  /** A header, or null. */
  String header(String name);

  /**
   * The body as strict JSON of any kind.
   *
   * @throws Refusal of status 400 where it is no JSON: bytes that are no UTF-8, a key twice, too
   *     deep, NaN; 413 where the tree would take too much memory
   */
  JsonNode json();

  /**
   * Reads the body's JSON piece by piece, as is fit for large arrays. Its exceptions become status
   * 400.
   *
   * @param nonFinite whether NaN, Infinity and -Infinity are numbers
   */
  JsonParser parser(boolean nonFinite);

  /** The body as it came. */
  byte[] body();

  /** Names the model that answers, for metrics: one that exists. */
  void model(String name);

  /** Adds a header to the response, before it begins. */
  void header(String name, String value);

  /** Responds with JSON. Numbers that are not finite come out as NaN, Infinity and -Infinity. */
  void respond(int status, JsonNode body);

  /** Responds with bytes. @param type such as {@code text/plain} */
  void respond(int status, String type, byte[] body);

  /** Responds with what went wrong, in the shape of the route's API. */
  void fail(Throwable why);

  /** Responds with status 200 and server-sent events. */
  EventStream stream();

  /** Runs when the client goes away or the deadline passes first; at once where that was before. */
  void onCancel(Runnable action);

  /** Whether the client went away, or the deadline passed. */
  boolean isCancelled();

  /** When the call fails with status 504. */
  Instant deadline();
}
