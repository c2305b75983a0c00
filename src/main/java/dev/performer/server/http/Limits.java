package dev.performer.server.http;

import static dev.performer.PerformerException.require;

import java.time.Duration;

/**
 * What clients may take of a server.
 *
 * @param requests that run at a time: the threads of the pool
 * @param queue requests that wait for one of them
 * @param connections that are open at a time
 * @param bodyBytes of one request
 * @param tokens of a request's prompt and what is generated from it, together
 * @param pendingBytes of a stream of events that its client has not read
 * @param deadline from a request's arrival to its response's end
 * @param idle how long a connection stays without a whole head of a request
 * @param slowBody from a request's head to the end of its body
 */
public record Limits(
    int requests,
    int queue,
    int connections,
    long bodyBytes,
    int tokens,
    long pendingBytes,
    Duration deadline,
    Duration idle,
    Duration slowBody) {
  /** For a machine that serves a few models. */
  public static final Limits DEFAULT =
      new Limits(
          128,
          512,
          2048,
          64L << 20,
          1 << 17,
          1L << 20,
          Duration.ofMinutes(5),
          Duration.ofSeconds(60),
          Duration.ofSeconds(60));

  /** Checks the values. */
  public Limits {
    boolean isSound =
        requests >= 1 && queue >= 0 && connections >= 1 && bodyBytes >= 1 && tokens >= 1;
    String text =
        "requests, connections, bodyBytes and tokens must be at least 1 and queue at least 0, not %d, %d, %d, %d, %d";
    require(isSound, text, requests, connections, bodyBytes, tokens, queue);
    for (Duration time : new Duration[] {deadline, idle, slowBody}) {
      require(time.toMillis() >= 1, "a time limit must be at least 1 ms, not %s", time);
    }
  }

  /** The same with others at a time, and others that wait. */
  public Limits withRequests(int most, int waiting) {
    return new Limits(
        most, waiting, connections, bodyBytes, tokens, pendingBytes, deadline, idle, slowBody);
  }

  /** The same with another number of connections. */
  public Limits withConnections(int most) {
    return new Limits(
        requests, queue, most, bodyBytes, tokens, pendingBytes, deadline, idle, slowBody);
  }

  /** The same with other sizes of requests. */
  public Limits withSizes(long bytes, int mostTokens) {
    return new Limits(
        requests, queue, connections, bytes, mostTokens, pendingBytes, deadline, idle, slowBody);
  }

  /** The same with another deadline. */
  public Limits withDeadline(Duration most) {
    return new Limits(
        requests, queue, connections, bodyBytes, tokens, pendingBytes, most, idle, slowBody);
  }

  /** The same with other times for idle connections and slow bodies. */
  public Limits withIdle(Duration connection, Duration body) {
    return new Limits(
        requests, queue, connections, bodyBytes, tokens, pendingBytes, deadline, connection, body);
  }
}
