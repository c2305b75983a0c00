package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.server.PerformerServer;
import dev.performer.server.ServerOptions;
import dev.performer.server.models.ModelConfig;
import java.nio.file.Path;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "serve",
    description = {
      "Serve models over HTTP and gRPC until the process is terminated: TensorFlow Serving's REST and gRPC, OpenAI's completions and embeddings, sessions, and a page for a browser.",
      "",
      "The end of a process (SIGTERM, Ctrl-C) lets running requests finish; a second signal ends it at once."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer serve protein=savedmodels/protein-mlm/saved_model",
      "  ./performer serve --models models.config --host 0.0.0.0 --api-key-file key --tls-cert cert.pem --tls-key key.pem"
    })
final class ServeCommand extends PerformerCommand {
  @Parameters(
      arity = "0..*",
      paramLabel = "[NAME=]MODEL",
      description = "SavedModels, run directories, or folders with versions named by number.")
  private List<String> models = List.of();

  @Option(
      names = "--models",
      paramLabel = "FILE",
      description = "A model config file of TensorFlow Serving, as text or JSON.")
  private Path modelsFile;

  private static final Logger GRPC = Logger.getLogger("io.grpc");

  @Option(names = "--check", description = "Load the models and listen, print so, and stop.")
  private boolean check;

  @Mixin private ServeModels running;

  @Mixin private ServeNetwork network;

  @Mixin private ServeLimits limits;

  /** What a program that starts the server reads, as soon as it is ready. */
  private record Ready(String url, String grpc, List<String> models) {}

  @Override
  public Integer call() throws InterruptedException {
    requireUsage(models.isEmpty() || modelsFile == null, "give models or --models FILE, not both");
    requireUsage(!models.isEmpty() || modelsFile != null, "give a model, or --models FILE");
    GRPC.setLevel(Level.OFF); // it logs what broken clients send, with stack traces
    try (Interruption interruption = new Interruption();
        PerformerServer server = PerformerServer.start(options())) {
      server.awaitLoaded();
      List<String> names = server.models().names();
      List<String> failures = modelsFile == null ? server.models().failures() : List.of();
      if (!failures.isEmpty()) {
        throw new PerformerException("models that cannot be served", failures);
      }
      String grpc = server.grpcPort() < 0 ? null : network.address(server.grpcPort());
      var ready = new Ready(network.url(server.port()), grpc, names);
      String shown = grpc == null ? "" : " grpc://" + grpc;
      String state = server.models().isReady() ? "ready" : "listening, not ready";
      print("%s: %s%s (%s)", state, ready.url, shown, String.join(", ", names));
      done(ready);
      if (check) {
        return 0;
      }
      interruption.await();
      System.err.println("stopping when running requests have ended; a second signal ends at once");
      if (!server.drain(limits.drain())) {
        System.err.println("stopped; requests that took longer than the drain were cut off");
      }
    }
    return 0;
  }

  private ServerOptions options() {
    return ServerOptions.DEFAULT
        .withModels(modelsFile == null ? ModelConfig.of(models) : ModelConfig.read(modelsFile))
        .withHttp(network.options().withLimits(limits.limits()))
        .withGrpcPort(network.grpcPort())
        .withSessionFolder(running.sessionFolder())
        .withRepository(running.options().withLog(System.err::println));
  }
}
