package dev.performer.server.http;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;

/**
 * Where and for whom a server listens.
 *
 * @param host whose address it binds
 * @param port 0 for a free one
 * @param tls certificate and key, or null
 * @param keys one of which calls must present; empty for none
 * @param origins of other web sites whose pages may call, such as {@code https://example.org}
 * @param limits of clients
 * @param accessLog gets a line for each request, or null
 * @param log gets failures of the server
 */
public record HttpOptions(
    String host,
    int port,
    Tls tls,
    List<String> keys,
    List<String> origins,
    Limits limits,
    Consumer<String> accessLog,
    Consumer<String> log) {
  /**
   * Files for TLS.
   *
   * @param certificate a chain in PEM
   * @param key its private key in PEM
   */
  public record Tls(Path certificate, Path key) {}

  /** On the loopback interface, at TensorFlow Serving's port. */
  public static final HttpOptions DEFAULT =
      new HttpOptions(
          "127.0.0.1", 8501, null, List.of(), List.of(), Limits.DEFAULT, null, line -> {});

  /** Copies the lists. */
  public HttpOptions {
    keys = List.copyOf(keys);
    origins = List.copyOf(origins);
  }

  /** The same at another address. */
  public HttpOptions withHost(String name) {
    return new HttpOptions(name, port, tls, keys, origins, limits, accessLog, log);
  }

  /** The same at another port. */
  public HttpOptions withPort(int number) {
    return new HttpOptions(host, number, tls, keys, origins, limits, accessLog, log);
  }

  /** The same with TLS. */
  public HttpOptions withTls(Tls files) {
    return new HttpOptions(host, port, files, keys, origins, limits, accessLog, log);
  }

  /** The same for holders of a key, and for pages of other sites. */
  public HttpOptions withAccess(List<String> holders, List<String> sites) {
    return new HttpOptions(host, port, tls, holders, sites, limits, accessLog, log);
  }

  /** The same with other limits. */
  public HttpOptions withLimits(Limits other) {
    return new HttpOptions(host, port, tls, keys, origins, other, accessLog, log);
  }

  /** The same, its lines going elsewhere. @param access null for none */
  public HttpOptions withLogs(Consumer<String> access, Consumer<String> failures) {
    return new HttpOptions(host, port, tls, keys, origins, limits, access, failures);
  }
}
