package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * Server-sent events. Sending never blocks: a client that leaves more unread than the server's
 * limit is cancelled, and what is sent after that is dropped.
 */
public interface EventStream extends AutoCloseable {
  /** Sends an event whose data is JSON. */
  void send(JsonNode data);

  /** Sends an event whose data is a text. */
  void send(String data);

  /** Sends an error in the shape of the route's API, and ends the stream. */
  void fail(Throwable why);

  /** Ends the stream. */
  @Override
  void close();
}
