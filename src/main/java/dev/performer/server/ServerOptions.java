package dev.performer.server;

import dev.performer.server.http.HttpOptions;
import dev.performer.server.http.Limits;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * What a server serves, where and to whom.
 *
 * @param models the served names and their SavedModels, run directories or folders of versions
 * @param modelsFile a model config file in place of models, or null
 * @param http where it listens for HTTP, and what clients may take
 * @param grpcPort the port of gRPC on the same host, 0 for a free one, or null for none
 */
public record ServerOptions(
    Map<String, Path> models, Path modelsFile, HttpOptions http, Integer grpcPort) {
  /** On the loopback interface, on TensorFlow Serving's ports. */
  public static final ServerOptions DEFAULT =
      new ServerOptions(
          Map.of(),
          null,
          new HttpOptions(
              "127.0.0.1", 8501, null, List.of(), List.of(), Limits.DEFAULT, null, line -> {}),
          8500);

  /** Copies the names in their order. */
  public ServerOptions {
    models = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(models));
  }

  /** The same with a model more. */
  public ServerOptions withModel(String name, Path model) {
    Map<String, Path> more = new LinkedHashMap<>(models);
    more.put(name, model);
    return new ServerOptions(more, modelsFile, http, grpcPort);
  }

  /** The same with a model config file. */
  public ServerOptions withModelsFile(Path file) {
    return new ServerOptions(models, file, http, grpcPort);
  }

  /** The same with other options of HTTP. */
  public ServerOptions withHttp(HttpOptions other) {
    return new ServerOptions(models, modelsFile, other, grpcPort);
  }

  /** The same with another port of gRPC. @param port null for none */
  public ServerOptions withGrpcPort(Integer port) {
    return new ServerOptions(models, modelsFile, http, port);
  }

  /** The same with other ports. */
  public ServerOptions withPorts(int port, Integer grpc) {
    return withHttp(http.withPort(port)).withGrpcPort(grpc);
  }

  /** The same, its failures going elsewhere. */
  public ServerOptions withLog(Consumer<String> log) {
    return withHttp(http.withLogs(http.accessLog(), log));
  }
}
