package dev.performer.server.http;

import dev.performer.Excerpt;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpServerRequest;
import java.io.ByteArrayOutputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.atomic.AtomicLong;

/** Takes requests from connections: routes, checks, reads the body, hands them to the pool. */
final class Requests {
  private static final long LINGER_MILLIS = 2000;

  private final Vertx vertx;
  private final RouteTable table;
  private final HttpOptions options;
  private final Access access;
  private final Pool pool;
  private final Connections connections;
  private final Backend backend;
  private final TreeMemory trees;
  private final AtomicLong bodies = new AtomicLong();
  private final long mostBodies;

  Requests(
      Vertx vertx,
      RouteTable table,
      HttpOptions options,
      Pool pool,
      Connections connections,
      Backend backend) {
    this.backend = backend;
    this.vertx = vertx;
    this.table = table;
    this.options = options;
    this.pool = pool;
    this.connections = connections;
    access = new Access(options);
    long heap = Runtime.getRuntime().maxMemory();
    trees = new TreeMemory(heap / 3);
    mostBodies = Math.max(options.limits().bodyBytes(), heap / 8);
  }

  /** A request that is no HTTP, or whose head is too large. */
  void reject(HttpServerRequest request) {
    Throwable cause = request.decoderResult().cause();
    String name = cause.getClass().getSimpleName();
    int status = name.contains("TooLongHttpLine") ? 414 : name.contains("TooLong") ? 431 : 400;
    String reason =
        switch (status) {
          case 414 -> "the request's path is too long";
          case 431 -> "the request's headers are too long";
          default -> "the request is not HTTP";
        };
    connections.busy(request.connection());
    Exchange call = exchange(request, null, "/").closing();
    call.fail(Failure.of(new Refusal(status, reason)));
  }

  void accept(HttpServerRequest request) {
    connections.busy(request.connection());
    String path = request.path() == null ? "/" : request.path();
    RouteTable.Match match = null;
    Refusal refusal = null;
    try {
      match = table.match(request.method().name(), path);
    } catch (Refusal broken) {
      refusal = broken;
    }
    Exchange call = exchange(request, match, path);
    String origin = request.getHeader("Origin");
    if (access.isListed(origin)) {
      call.header("Access-Control-Allow-Origin", origin);
      call.header("Vary", "Origin");
      if (request.method() == HttpMethod.OPTIONS) {
        call.header("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE");
        call.header("Access-Control-Allow-Headers", "Authorization, Content-Type");
        call.respond(204, "text/plain", new byte[0]);
        return;
      }
    }
    try {
      if (refusal != null) {
        throw refusal;
      }
      access.check(request, match != null && match.operation().isOpen);
      if (match == null) {
        throw unknown(call, path);
      }
      receive(call, announced(request));
    } catch (Refusal why) {
      refuse(call, why);
    }
  }

  private Exchange exchange(HttpServerRequest request, RouteTable.Match match, String path) {
    Api api = match == null ? table.nearest(path) : match.operation().api;
    Exchange call = new Exchange(request, match, api, options.limits(), pool, backend);
    request.exceptionHandler(broken -> {}); // the response's handler comes, too
    request.response().exceptionHandler(broken -> {}).closeHandler(closed -> call.gone());
    call.atEnd(() -> connections.idle(request.connection()));
    return call;
  }

  /** The size of the body that the head names, or 0. */
  private long announced(HttpServerRequest request) {
    String encoding = request.getHeader("Content-Encoding");
    if (encoding != null && !encoding.equalsIgnoreCase("identity")) {
      throw new Refusal(415, "the request's body is compressed; send it as it is");
    }
    String length = request.getHeader("Content-Length");
    try {
      return length == null ? 0 : Long.parseLong(length);
    } catch (NumberFormatException e) {
      throw new Refusal(400, "the request's Content-Length is no number");
    }
  }

  private void receive(Exchange call, long announced) {
    if (announced > options.limits().bodyBytes()) {
      throw tooLarge();
    }
    HttpServerRequest request = call.request;
    if ("100-continue".equalsIgnoreCase(request.getHeader("Expect"))) {
      request.response().writeContinue();
    }
    Body body = new Body(call);
    long slow = options.limits().slowBody().toMillis();
    long timer = vertx.setTimer(slow, id -> body.refuse(new Refusal(408, "the body is too slow")));
    call.atEnd(() -> vertx.cancelTimer(timer));
    request.handler(body::add);
    request.endHandler(
        end -> {
          vertx.cancelTimer(timer);
          body.done();
        });
  }

  private Refusal tooLarge() {
    String text = "the request's body is too large; this server takes %d bytes at most";
    return new Refusal(413, text.formatted(options.limits().bodyBytes()));
  }

  /** Runs the handler of a call whose body is there. */
  private void dispatch(Exchange call, byte[] body) {
    pool.admit(call);
    call.received(body, trees);
    long left = Math.max(1, Duration.between(Instant.now(), call.deadline()).toMillis());
    long timer = vertx.setTimer(left, id -> expire(call));
    call.atEnd(() -> vertx.cancelTimer(timer));
    pool.run(
        call,
        () -> {
          call.release();
          bodies.addAndGet(-body.length);
        });
  }

  /** Also of a client that does not read its response. */
  private void expire(Exchange call) {
    call.expire();
    vertx.setTimer(
        LINGER_MILLIS,
        id -> {
          if (!call.isEnded()) {
            Connections.cut(call.request.connection());
          }
        });
  }

  /** Responds, and reads what still comes, or the client would miss the response. */
  private void refuse(Exchange call, Refusal why) {
    HttpServerRequest request = call.request;
    call.fail(Failure.of(why));
    if (!request.isEnded()) {
      long timer = vertx.setTimer(LINGER_MILLIS, id -> Connections.cut(request.connection()));
      request.handler(more -> {}).endHandler(end -> vertx.cancelTimer(timer));
    }
  }

  private Refusal unknown(Exchange call, String path) {
    var methods = table.methods(path);
    String what = call.request.method() + " " + Excerpt.of(path);
    if (methods.isEmpty()) {
      return new Refusal(404, what + ": there is no such path here");
    }
    call.header("Allow", String.join(", ", methods));
    return new Refusal(405, what + ": this path takes " + String.join(", ", methods));
  }

  /** A body as it comes; on its connection's thread only. */
  private final class Body {
    private final Exchange call;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private boolean isOver;

    Body(Exchange call) {
      this.call = call;
      call.atEnd(this::drop);
    }

    void add(Buffer more) {
      if (isOver) {
        return;
      }
      if (bytes.size() + more.length() > options.limits().bodyBytes()) {
        refuse(tooLarge());
      } else if (bodies.get() + more.length() > mostBodies) {
        refuse(new Refusal(429, "the server has no memory for more requests now; try again later"));
      } else {
        bodies.addAndGet(more.length());
        bytes.writeBytes(more.getBytes());
      }
    }

    void done() {
      if (isOver) {
        return;
      }
      isOver = true;
      byte[] whole = bytes.toByteArray();
      try {
        dispatch(call, whole);
      } catch (Refusal why) {
        bodies.addAndGet(-whole.length);
        Requests.this.refuse(call, why);
      }
    }

    void refuse(Refusal why) {
      if (!isOver) {
        drop();
        Requests.this.refuse(call, why);
      }
    }

    private void drop() {
      if (!isOver) {
        isOver = true;
        bodies.addAndGet(-bytes.size());
        bytes.reset();
      }
    }
  }
}
