package dev.performer.server.http;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.file.FileSystemOptions;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.net.PemKeyCertOptions;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;

/** An HTTP server for several APIs. */
public final class HttpFront implements AutoCloseable {
  private static final int LONGEST_LINE = 8 << 10;
  private static final int LARGEST_HEAD = 16 << 10;

  private final Vertx vertx;
  private final HttpServer server;
  private final Pool pool;
  private final RouteTable table;

  private HttpFront(Vertx vertx, HttpServer server, Pool pool, RouteTable table) {
    this.vertx = vertx;
    this.server = server;
    this.pool = pool;
    this.table = table;
  }

  /**
   * Binds a port and takes requests.
   *
   * @param apis the first of which gives the shape of errors where no path is like another's
   * @param backend what answers
   * @throws PerformerException if the port is taken, or a file of TLS cannot be used
   */
  public static HttpFront start(
      HttpOptions options, List<Api> apis, PrometheusMeterRegistry meters, Backend backend) {
    ProcessMeters.register(meters);
    RouteTable table = new RouteTable();
    apis.forEach(api -> api.mount(table.of(api)));
    var pool = new Pool(options, new RequestMeters(meters, options.accessLog()));
    var control = new ControlApi(meters, backend, pool, table);
    control.mount(table.of(control));
    Vertx vertx = Vertx.vertx(vertxOptions());
    try {
      var connections = new Connections(vertx, options.limits(), meters);
      HttpServer server =
          vertx
              .createHttpServer(serverOptions(options))
              .connectionHandler(connections::opened)
              .exceptionHandler(broken -> {}); // of a connection before it has a request
      var requests = new Requests(vertx, table, options, pool, connections, backend);
      server.requestHandler(requests::accept).invalidRequestHandler(requests::reject);
      server.listen().toCompletionStage().toCompletableFuture().join();
      return new HttpFront(vertx, server, pool, table);
    } catch (CompletionException | IllegalArgumentException e) {
      Throwable why = e instanceof CompletionException ? e.getCause() : e;
      close(vertx, pool);
      throw unable(options, why);
    }
  }

  private static PerformerException unable(HttpOptions options, Throwable why) {
    String reason =
        why instanceof IOException broken ? AtomicFiles.describe(broken) : why.getMessage();
    String at = options.host() + ":" + options.port();
    String text = "%s: the server cannot listen here: %s; choose another address or port";
    if (options.tls() != null && !(why instanceof java.net.BindException)) {
      text = "%s: the server cannot listen with this certificate and key: %s";
      at = options.tls().certificate() + ", " + options.tls().key();
    }
    return new PerformerException(text.formatted(at, reason), why);
  }

  private static VertxOptions vertxOptions() {
    // Nothing that a request names is looked up in files.
    var files =
        new FileSystemOptions().setFileCachingEnabled(false).setClassPathResolvingEnabled(false);
    return new VertxOptions()
        .setFileSystemOptions(files)
        .setEventLoopPoolSize(2)
        .setWorkerPoolSize(1)
        .setInternalBlockingPoolSize(1)
        .setBlockedThreadCheckInterval(Duration.ofDays(1).toMillis());
  }

  private static HttpServerOptions serverOptions(HttpOptions options) {
    HttpServerOptions server =
        new HttpServerOptions()
            .setHost(options.host())
            .setPort(options.port())
            .setHttp2ClearTextEnabled(false) // and connections exist before their first byte
            .setUseAlpn(false)
            .setMaxInitialLineLength(LONGEST_LINE)
            .setMaxHeaderSize(LARGEST_HEAD)
            .setAcceptBacklog(1024);
    if (options.tls() != null) {
      server
          .setSsl(true)
          .setSslHandshakeTimeout(options.limits().idle().toMillis())
          .setSslHandshakeTimeoutUnit(TimeUnit.MILLISECONDS)
          .setKeyCertOptions(
              new PemKeyCertOptions()
                  .addCertPath(options.tls().certificate().toAbsolutePath().toString())
                  .addKeyPath(options.tls().key().toAbsolutePath().toString()));
    }
    return server;
  }

  /** The port that it listens on. */
  public int port() {
    return server.actualPort();
  }

  /** Whether {@link #drain} has begun. */
  public boolean isDraining() {
    return pool.isDraining();
  }

  /** Refuses new calls with status 503, and waits until those that run have ended. */
  public boolean drain(Duration most) {
    return pool.drain(most);
  }

  /** Ends all connections. */
  @Override
  public void close() {
    close(vertx, pool);
  }

  private static void close(Vertx vertx, Pool pool) {
    pool.close();
    vertx.close().toCompletionStage().toCompletableFuture().join();
  }
}
