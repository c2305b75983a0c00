package dev.performer.server.http;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import io.vertx.core.Future;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A call over a connection: its response begins once, by whom is first. */
final class Exchange implements Call {
  /** What a server does when a call begins or ends. */
  interface Watch {
    /** The response is written, or the client is gone. */
    void ended(Exchange exchange);

    /** The server failed. */
    void failed(Exchange exchange, Throwable why);
  }

  final HttpServerRequest request;
  final Operation operation;
  final Api api;
  final long start = System.nanoTime();
  private final Map<String, String> parameters;
  private final Limits limits;
  private final Watch watch;
  private final Backend backend;
  private final Instant deadline;
  private final Map<String, String> headers = new LinkedHashMap<>();
  private final List<Runnable> cancels = new ArrayList<>();
  private final List<Runnable> ends = new ArrayList<>();
  private TreeMemory.Share tree;
  private byte[] body = {};
  private String model = "";
  private int status;
  private boolean isBegun;
  private boolean isEnded;
  private boolean isCancelled;
  private boolean closes;
  private Events events;

  /**
   * @param match null where no route is met
   */
  Exchange(
      HttpServerRequest request,
      RouteTable.Match match,
      Api api,
      Limits limits,
      Watch watch,
      Backend backend) {
    this.request = request;
    this.operation = match == null ? null : match.operation();
    this.api = api;
    this.parameters = match == null ? Map.of() : match.parameters();
    this.limits = limits;
    this.watch = watch;
    this.backend = backend;
    this.deadline = Instant.now().plus(limits.deadline());
  }

  void received(byte[] bytes, TreeMemory memory) {
    body = bytes;
    tree = memory.share();
  }

  @Override
  public String parameter(String name) {
    String value = parameters.get(name);
    if (value == null) {
      throw new IllegalArgumentException(operation.path + " has no parameter " + name);
    }
    return value;
  }

  @Override
  public Map<String, String> query() {
    Map<String, String> values = new LinkedHashMap<>();
    String query = request.query() == null ? "" : request.query();
    for (String pair : query.split("&")) {
      int equals = pair.indexOf('=');
      String name = equals < 0 ? pair : pair.substring(0, equals);
      String value = equals < 0 ? "" : pair.substring(equals + 1);
      if (!name.isEmpty()) {
        values.put(
            RouteTable.decoded(name.replace('+', ' ')),
            RouteTable.decoded(value.replace('+', ' ')));
      }
    }
    return Collections.unmodifiableMap(values);
  }

  @Override
  public String header(String name) {
    return request.getHeader(name);
  }

  @Override
  public JsonNode json() {
    tree.take(body);
    return Json.tree(body);
  }

  @Override
  public JsonParser parser(boolean nonFinite) {
    return Json.parser(body, nonFinite);
  }

  @Override
  public byte[] body() {
    return body;
  }

  @Override
  public void model(String name) {
    model = name;
  }

  String model() {
    return model;
  }

  @Override
  public synchronized void header(String name, String value) {
    headers.put(name, value);
  }

  /** The connection is closed behind the response. */
  Exchange closing() {
    closes = true;
    return this;
  }

  @Override
  public void respond(int code, JsonNode json) {
    respond(code, "application/json", Json.bytes(json));
  }

  @Override
  public void respond(int code, String type, byte[] bytes) {
    if (begin(code)) {
      HttpServerResponse response = head(type);
      response.putHeader("Content-Length", String.valueOf(bytes.length));
      boolean hasBody = !request.method().name().equals("HEAD");
      Future<Void> written = hasBody ? response.end(Buffer.buffer(bytes)) : response.end();
      written.onComplete(done -> ended());
    }
  }

  @Override
  public void fail(Throwable why) {
    Failure failure = Failure.of(why);
    if (failure.status() >= 500) {
      watch.failed(this, why);
    }
    fail(failure);
  }

  void fail(Failure failure) {
    if (failure.status() == 429 || failure.status() == 503) {
      header("Retry-After", "1");
    } else if (failure.status() == 401) {
      header("WWW-Authenticate", "Bearer");
    }
    respond(failure.status(), error(failure));
  }

  /** An error as the clients of this API know it. */
  JsonNode error(Failure failure) {
    return api.error(failure.withMessage(backend.shown(failure.message())));
  }

  @Override
  public EventStream stream() {
    if (!begin(200)) {
      return new Events(this, null, limits.pendingBytes()); // the client is gone
    }
    HttpServerResponse response = head("text/event-stream; charset=utf-8");
    response.putHeader("Cache-Control", "no-cache").setChunked(true);
    Events started = new Events(this, response, limits.pendingBytes());
    synchronized (this) {
      events = started;
    }
    return started;
  }

  private synchronized boolean begin(int code) {
    if (isBegun || isEnded) {
      return false;
    }
    isBegun = true;
    status = code;
    return true;
  }

  private HttpServerResponse head(String type) {
    HttpServerResponse response = request.response().setStatusCode(status);
    response.putHeader("Content-Type", type).putHeader("X-Content-Type-Options", "nosniff");
    synchronized (this) {
      headers.forEach(response::putHeader);
    }
    if (closes) {
      response.putHeader("Connection", "close");
    }
    return response;
  }

  int status() {
    return status;
  }

  @Override
  public void onCancel(Runnable action) {
    synchronized (this) {
      if (!isCancelled) {
        if (!isEnded) {
          cancels.add(action);
        }
        return;
      }
    }
    action.run();
  }

  @Override
  public synchronized boolean isCancelled() {
    return isCancelled;
  }

  @Override
  public Instant deadline() {
    return deadline;
  }

  /** The deadline has passed. */
  void expire() {
    cancel();
    String text = "the request took longer than %d ms; it was given up";
    var late = new Refusal(504, text.formatted(limits.deadline().toMillis()));
    Events open;
    synchronized (this) {
      open = events;
    }
    if (open != null) {
      open.fail(late);
    } else {
      fail(late);
    }
  }

  /** The client is gone. */
  void gone() {
    cancel();
    synchronized (this) {
      status = isBegun ? status : 499;
    }
    ended();
  }

  private void cancel() {
    List<Runnable> actions;
    synchronized (this) {
      if (isCancelled || isEnded) {
        return;
      }
      isCancelled = true;
      actions = List.copyOf(cancels);
      cancels.clear();
    }
    for (Runnable action : actions) {
      try {
        action.run();
      } catch (RuntimeException e) {
        watch.failed(this, e);
      }
    }
  }

  synchronized boolean isEnded() {
    return isEnded;
  }

  void ended() {
    synchronized (this) {
      if (isEnded) {
        return;
      }
      isEnded = true;
      cancels.clear();
    }
    ends.forEach(Runnable::run);
    watch.ended(this);
  }

  /** Runs an action once the response is written or the client gone; set before that may be. */
  void atEnd(Runnable action) {
    ends.add(action);
  }

  /** Nobody reads the body any more. */
  void release() {
    body = new byte[0];
    if (tree != null) {
      tree.close();
    }
  }
}
