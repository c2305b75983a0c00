package dev.performer.server.http;

import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.vertx.core.Vertx;
import io.vertx.core.http.HttpConnection;
import io.vertx.core.http.impl.HttpServerConnection;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Open connections; one without a whole head of a request is closed after a time. */
final class Connections {
  private final class State {
    private final HttpConnection connection;
    private int requests;
    private long timer = -1;

    State(HttpConnection connection) {
      this.connection = connection;
    }

    synchronized void count(int more) {
      requests += more;
      cancel();
      if (requests == 0) {
        timer = vertx.setTimer(limits.idle().toMillis(), id -> cut(connection));
      }
    }

    synchronized void cancel() {
      vertx.cancelTimer(timer);
    }
  }

  private final Vertx vertx;
  private final Limits limits;
  private final Map<HttpConnection, State> open = new ConcurrentHashMap<>();

  Connections(Vertx vertx, Limits limits, MeterRegistry meters) {
    this.vertx = vertx;
    this.limits = limits;
    Gauge.builder("performer.http.connections", open, Map::size)
        .description("open connections")
        .register(meters);
  }

  void opened(HttpConnection connection) {
    if (open.size() >= limits.connections()) {
      cut(connection);
      return;
    }
    State state = new State(connection);
    open.put(connection, state);
    connection.exceptionHandler(broken -> {}); // a client that resets it
    connection.closeHandler(
        closed -> {
          open.remove(connection);
          state.cancel();
        });
    state.count(0);
  }

  /** Closes a connection at once: what its client has not read is not waited for. */
  static void cut(HttpConnection connection) {
    if (connection instanceof HttpServerConnection own) {
      own.channelHandlerContext().close();
    } else {
      connection.close();
    }
  }

  /** The head of a request is there. */
  void busy(HttpConnection connection) {
    count(connection, 1);
  }

  /** A request is over. */
  void idle(HttpConnection connection) {
    count(connection, -1);
  }

  private void count(HttpConnection connection, int more) {
    State state = open.get(connection);
    if (state != null) {
      state.count(more);
    }
  }
}
