package dev.performer.cli;

import dev.performer.server.PerformerServer;
import dev.performer.server.ServerOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "serve",
    description = "Serve models over HTTP and gRPC until it is interrupted.",
    footer = {"", "Example:", "  ./performer serve protein=savedmodels/protein-mlm/saved_model"})
final class ServeCommand extends PerformerCommand {
  @Parameters(
      arity = "0..*",
      paramLabel = "[NAME=]MODEL",
      description = "SavedModels, run directories, or folders of versions.")
  private List<String> models = List.of();

  @Option(names = "--models", paramLabel = "FILE", description = "A model config file.")
  private Path modelsFile;

  @Option(names = "--host", description = "Address to listen on (default: 127.0.0.1).")
  private String host = "127.0.0.1";

  @Option(names = "--port", paramLabel = "N", description = "Of HTTP; 0 for a free one (8501).")
  private int port = 8501;

  @Option(names = "--grpc-port", paramLabel = "N", description = "Of gRPC; 0 for a free one.")
  private int grpcPort = 8500;

  @Override
  public Integer call() throws InterruptedException {
    ServerOptions options =
        ServerOptions.DEFAULT.withPorts(port, grpcPort).withModelsFile(modelsFile);
    options = options.withHttp(options.http().withHost(host)).withLog(System.err::println);
    for (String model : models) {
      int equals = model.indexOf('=');
      Path path = Path.of(model.substring(equals + 1));
      String name =
          equals < 0 ? path.toAbsolutePath().getFileName().toString() : model.substring(0, equals);
      options = options.withModel(name, path);
    }
    CountDownLatch ended = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(ended::countDown));
    try (PerformerServer server = PerformerServer.start(options)) {
      print("http://%s:%d", host, server.port());
      ended.await();
      server.drain(Duration.ofSeconds(30));
    }
    return 0;
  }
}
