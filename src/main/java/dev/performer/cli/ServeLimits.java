package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.server.http.Limits;
import java.time.Duration;
import picocli.CommandLine.Option;

/** What clients may take of a server. */
final class ServeLimits {
  private static final int MEGABYTE = 1 << 20;

  @Option(
      names = "--max-requests",
      paramLabel = "N",
      description = "Requests that run at a time (default: 128).")
  private int requests = Limits.DEFAULT.requests();

  @Option(
      names = "--max-queue",
      paramLabel = "N",
      description = "Requests that wait; more are refused with 429 (default: 512).")
  private int queue = Limits.DEFAULT.queue();

  @Option(
      names = "--max-connections",
      paramLabel = "N",
      description = "Open connections; more are closed (default: 2048).")
  private int connections = Limits.DEFAULT.connections();

  @Option(
      names = "--max-body",
      paramLabel = "MB",
      description = "Size of one request (default: 64).")
  private int body = (int) (Limits.DEFAULT.bodyBytes() / MEGABYTE);

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      description = "Of one request's prompt and what is generated, together (default: 131072).")
  private int tokens = Limits.DEFAULT.tokens();

  @Option(
      names = "--deadline",
      paramLabel = "TIME",
      description = "How long a request may take, such as 30s or 5m (default: 5m).")
  private Duration deadline = Limits.DEFAULT.deadline();

  @Option(
      names = "--idle",
      paramLabel = "TIME",
      description = "How long a connection or a request's body may take to come (default: 60s).")
  private Duration idle = Limits.DEFAULT.idle();

  @Option(
      names = "--drain",
      paramLabel = "TIME",
      description = "How long running requests have at the end (default: 30s).")
  private Duration drain = Duration.ofSeconds(30);

  Limits limits() {
    try {
      return Limits.DEFAULT
          .withRequests(requests, queue)
          .withConnections(connections)
          .withSizes((long) body * MEGABYTE, tokens)
          .withDeadline(deadline)
          .withIdle(idle, idle);
    } catch (PerformerException e) {
      throw new PerformerCommand.UsageException(e.getMessage());
    }
  }

  Duration drain() {
    return drain;
  }
}
