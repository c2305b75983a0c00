package dev.performer.server.http;

/**
 * Answers calls. It runs on a thread of the server's pool and may block. It may return before there
 * is a response, which another thread then gives; the call lasts until that or its deadline.
 */
public interface Handler {
  /** Answers one call. What it throws becomes a response in the shape of the route's API. */
  void handle(Call call) throws Exception;
}
