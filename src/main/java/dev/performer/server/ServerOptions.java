package dev.performer.server;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.server.http.HttpOptions;
import dev.performer.server.models.ModelConfig;
import dev.performer.server.models.RepositoryOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;

/**
 * What a server serves, where and to whom.
 *
 * @param models which models
 * @param repository how they are loaded
 * @param http where it listens for HTTP, and what clients may take
 * @param grpcPort the port of gRPC on the same host, 0 for a free one, or null for none
 * @param sessionFolder where sessions are saved by name, or null for nowhere
 */
public record ServerOptions(
    ModelConfig models,
    RepositoryOptions repository,
    HttpOptions http,
    Integer grpcPort,
    Path sessionFolder) {
  /** On the loopback interface, on TensorFlow Serving's ports. */
  public static final ServerOptions DEFAULT =
      new ServerOptions(
          new ModelConfig(List.of()), RepositoryOptions.DEFAULT, HttpOptions.DEFAULT, 8500, null);

  /** The same with models by path, each with {@code NAME=} before it or without. */
  public ServerOptions withModels(String... paths) {
    return withModels(ModelConfig.of(List.of(paths)));
  }

  /** The same with other models. */
  public ServerOptions withModels(ModelConfig others) {
    return new ServerOptions(others, repository, http, grpcPort, sessionFolder);
  }

  /** The same with other options of loading. */
  public ServerOptions withRepository(RepositoryOptions other) {
    return new ServerOptions(models, other, http, grpcPort, sessionFolder);
  }

  /** The same with other options of HTTP. */
  public ServerOptions withHttp(HttpOptions other) {
    return new ServerOptions(models, repository, other, grpcPort, sessionFolder);
  }

  /** The same with another port of gRPC. @param port null for none */
  public ServerOptions withGrpcPort(Integer port) {
    return new ServerOptions(models, repository, http, port, sessionFolder);
  }

  /**
   * The same with a folder for sessions, which is made when the first is saved.
   *
   * @throws PerformerException if it is a file
   */
  public ServerOptions withSessionFolder(Path folder) {
    boolean canHold = folder == null || Files.isDirectory(folder) || !Files.exists(folder);
    require(canHold, "%s is a file; sessions are saved in a folder", folder);
    return new ServerOptions(models, repository, http, grpcPort, folder);
  }

  /** The same with a receiver of lines on what happens: models come and go, the server fails. */
  public ServerOptions withLog(Consumer<String> log) {
    return withRepository(repository.withLog(log)).withHttp(http.withLogs(http.accessLog(), log));
  }
}
