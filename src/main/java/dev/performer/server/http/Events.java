package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import java.nio.charset.StandardCharsets;

/** Events over a response. */
final class Events implements EventStream {
  private final Exchange exchange;
  private final HttpServerResponse response;
  private final long most;
  private long pending;
  private boolean isOver;

  /**
   * @param response null where the client is gone
   */
  Events(Exchange exchange, HttpServerResponse response, long most) {
    this.exchange = exchange;
    this.response = response;
    this.most = most;
    isOver = response == null;
  }

  @Override
  public void send(JsonNode data) {
    send(new String(Json.bytes(data), StandardCharsets.UTF_8));
  }

  @Override
  public void send(String data) {
    String lines = data.lines().map(line -> "data: " + line + "\n").reduce("", String::concat);
    write((lines.isEmpty() ? "data: \n" : lines) + "\n");
  }

  private void write(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    synchronized (this) {
      if (isOver || exchange.isCancelled()) {
        return;
      }
      pending += bytes.length;
      if (pending <= most) {
        response.write(Buffer.buffer(bytes)).onComplete(done -> written(bytes.length));
        return;
      }
      isOver = true;
    }
    Connections.cut(exchange.request.connection()); // which cancels the call
  }

  private synchronized void written(int bytes) {
    pending -= bytes;
  }

  @Override
  public void fail(Throwable why) {
    Failure failure = Failure.of(why);
    byte[] last = ("data: ").getBytes(StandardCharsets.UTF_8);
    Buffer event = Buffer.buffer(last).appendBytes(Json.bytes(exchange.error(failure)));
    end(event.appendString("\n\n"));
  }

  @Override
  public void close() {
    end(Buffer.buffer());
  }

  private void end(Buffer last) {
    synchronized (this) {
      if (isOver) {
        return;
      }
      isOver = true;
    }
    response.end(last).onComplete(done -> exchange.ended());
  }
}
