package dev.performer.cli;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.server.http.HttpOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** Where a server listens, and to whom. */
final class ServeNetwork {
  private static final String KEY_VARIABLE = "PERFORMER_API_KEY";

  @Option(
      names = "--host",
      paramLabel = "NAME",
      description = "Address to listen on; 0.0.0.0 for all (default: 127.0.0.1, this machine).")
  private String host = HttpOptions.DEFAULT.host();

  @Option(
      names = "--port",
      paramLabel = "N",
      description = "Of HTTP; 0 for a free one, which is printed (default: 8501).")
  private int port = HttpOptions.DEFAULT.port();

  @Option(
      names = "--grpc-port",
      paramLabel = "N",
      description = "Of gRPC; 0 for a free one (default: 8500).")
  private int grpcPort = 8500;

  @Option(names = "--no-grpc", description = "Serve HTTP only.")
  private boolean noGrpc;

  @Option(
      names = "--api-key",
      paramLabel = "KEY",
      description =
          "Take calls with this key only, as 'Authorization: Bearer KEY'. Other users see it in the list of processes; better:")
  private List<String> keys = List.of();

  @Option(
      names = "--api-key-file",
      paramLabel = "FILE",
      description = "Keys, one a line. The variable " + KEY_VARIABLE + " holds one, too.")
  private Path keyFile;

  @Option(names = "--tls-cert", paramLabel = "FILE", description = "Certificates for TLS, in PEM.")
  private Path certificate;

  @Option(names = "--tls-key", paramLabel = "FILE", description = "Their private key, in PEM.")
  private Path key;

  @Option(
      names = "--allow-origin",
      paramLabel = "URL",
      description = "Pages of this site may call, such as https://example.org; several times.")
  private List<String> origins = List.of();

  @Option(names = "--access-log", description = "Print a line for each request to stderr.")
  private boolean accessLog;

  HttpOptions options() {
    PerformerCommand.requireUsage(
        port >= 0 && port <= 65535 && grpcPort >= 0 && grpcPort <= 65535,
        "--port and --grpc-port must be 0 to 65535, not %d and %d",
        port,
        grpcPort);
    PerformerCommand.requireUsage(
        (certificate == null) == (key == null), "--tls-cert and --tls-key go together");
    var tls = certificate == null ? null : new HttpOptions.Tls(certificate, key);
    return HttpOptions.DEFAULT
        .withHost(host)
        .withPort(port)
        .withTls(tls)
        .withAccess(keys(), origins)
        .withLogs(accessLog ? System.err::println : null, System.err::println);
  }

  /** Null for none. */
  Integer grpcPort() {
    return noGrpc ? null : grpcPort;
  }

  String url(int bound) {
    return (certificate == null ? "http" : "https") + "://" + address(bound);
  }

  String address(int bound) {
    return (host.contains(":") && !host.startsWith("[") ? "[" + host + "]" : host) + ":" + bound;
  }

  private List<String> keys() {
    List<String> all = new ArrayList<>(keys);
    String variable = System.getenv(KEY_VARIABLE);
    if (variable != null) {
      all.add(variable);
    }
    if (keyFile != null) {
      all.addAll(read(keyFile));
    }
    for (String one : all) {
      require(!one.isBlank(), "an API key is empty; give one, or none at all");
    }
    return all;
  }

  private static List<String> read(Path file) {
    try {
      List<String> lines =
          Files.readAllLines(file).stream().map(String::strip).filter(l -> !l.isEmpty()).toList();
      require(!lines.isEmpty(), "%s: holds no key; expected one a line", file);
      return lines;
    } catch (IOException e) {
      throw new PerformerException(
          file + ": cannot be read as text: " + AtomicFiles.describe(e), e);
    }
  }
}
