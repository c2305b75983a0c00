package dev.performer.cli;

import static dev.performer.PerformerException.require;

import dev.performer.server.PerformerServer;
import dev.performer.server.ServerOptions;
import dev.performer.server.models.ModelConfig;
import dev.performer.server.models.ModelStatus;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
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

  @Option(
      names = "--poll-interval",
      paramLabel = "TIME",
      description = "How often folders are looked at for versions; 0 for never (default: 1s).")
  private Duration poll = Duration.ofSeconds(1);

  @Option(
      names = "--session-dir",
      paramLabel = "FOLDER",
      description = "Where clients may save sessions by name (default: nowhere).")
  private Path sessionFolder;

  @Mixin private ServeNetwork network;

  @Mixin private ServeLimits limits;

  @Override
  public Integer call() throws InterruptedException {
    requireUsage(
        models.isEmpty() == (modelsFile != null), "give either models or --models FILE, not both");
    try (Interruption interruption = new Interruption();
        PerformerServer server = PerformerServer.start(options())) {
      server.awaitLoaded();
      List<String> names = server.models().names();
      if (modelsFile == null) {
        names.forEach(name -> requireLoaded(server, name));
      }
      print("ready: %s (%s)", network.url(server.port()), String.join(", ", names));
      interruption.await();
      System.err.println("stopping when running requests have ended; a second signal ends at once");
      if (!server.drain(limits.drain())) {
        System.err.println("stopped; requests that took longer than the drain were cut off");
      }
    }
    return 0;
  }

  private ServerOptions options() {
    ServerOptions options = ServerOptions.DEFAULT;
    return options
        .withModels(ModelConfig.of(models))
        .withHttp(network.options().withLimits(limits.limits()))
        .withGrpcPort(network.grpcPort())
        .withSessionFolder(sessionFolder)
        .withRepository(options.repository().withPoll(poll).withLog(System.err::println));
  }

  private static void requireLoaded(PerformerServer server, String name) {
    List<ModelStatus> versions = server.models().status(name);
    boolean isThere = versions.stream().anyMatch(one -> one.state() == ModelStatus.State.AVAILABLE);
    String why = versions.isEmpty() ? "it has no version" : versions.get(0).error();
    require(isThere, "%s: cannot be served: %s", name, why);
  }
}
