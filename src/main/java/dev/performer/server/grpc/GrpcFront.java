package dev.performer.server.grpc;

import dev.performer.AtomicFiles;
import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.server.http.HttpOptions;
import dev.performer.server.http.Limits;
import dev.performer.server.http.WorkerThreads;
import dev.performer.server.models.ModelRepository;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallExecutorSupplier;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.protobuf.services.ProtoReflectionService;
import io.grpc.protobuf.services.ProtoReflectionServiceV1;
import io.micrometer.core.instrument.MeterRegistry;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * A server of TensorFlow Serving's gRPC API, with the standard services of health and reflection.
 */
public final class GrpcFront implements AutoCloseable {
  private static final List<String> SERVICES =
      List.of("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService");
  private static final int LARGEST_HEAD = 16 << 10;
  private static final int MOST_STREAMS = 256; // of a connection
  private static final Duration LONGEST_IDLE = Duration.ofMinutes(10); // clients connect again
  private static final Duration LONGEST_HANDSHAKE = Duration.ofSeconds(20);

  private final ModelRepository models;
  private final HealthStatusManager health = new HealthStatusManager();
  private final ThreadPoolExecutor workers;
  private final ThreadPoolExecutor control = WorkerThreads.pool("grpc-control-", 1);
  private final ScheduledThreadPoolExecutor timer =
      new ScheduledThreadPoolExecutor(1, WorkerThreads.named("grpc-timer-"));
  private final Server server;
  private boolean isDraining;

  private GrpcFront(HttpOptions options, int port, ModelRepository models, MeterRegistry meters) {
    this.models = models;
    timer.setRemoveOnCancelPolicy(true);
    Limits limits = options.limits();
    workers = WorkerThreads.pool("grpc-call-", limits.requests());
    Calls calls = new Calls(new Statuses(models, options.log()), limits.deadline());
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(new InetSocketAddress(options.host(), port))
            .executor(workers)
            .callExecutor(new ByKind())
            .maxInboundMessageSize((int) Math.min(limits.bodyBytes(), Integer.MAX_VALUE))
            .maxInboundMetadataSize(LARGEST_HEAD)
            .maxConcurrentCallsPerConnection(MOST_STREAMS)
            .handshakeTimeout(LONGEST_HANDSHAKE.toSeconds(), TimeUnit.SECONDS)
            .maxConnectionIdle(LONGEST_IDLE.toSeconds(), TimeUnit.SECONDS)
            .permitKeepAliveTime(10, TimeUnit.SECONDS)
            .permitKeepAliveWithoutCalls(true)
            .intercept(new Guard(options, meters, timer))
            .addService(new PredictionService(models).on(calls))
            .addService(new ModelService(models).on(calls))
            .addService(health.getHealthService())
            .addService(ProtoReflectionServiceV1.newInstance())
            .addService(ProtoReflectionService.newInstance()); // older clients ask this one
    try {
      if (options.tls() != null) {
        File certificate = options.tls().certificate().toFile();
        builder.useTransportSecurity(certificate, options.tls().key().toFile());
      }
      tellHealth();
      server = builder.build().start();
    } catch (IOException | IllegalArgumentException e) {
      stopThreads();
      throw unable(options, port, e);
    }
    timer.scheduleWithFixedDelay(this::tellHealth, 200, 200, TimeUnit.MILLISECONDS);
  }

  /**
   * Binds a port and takes calls.
   *
   * @param options address, certificate, keys and limits, as for HTTP
   * @param port 0 for a free one
   * @throws PerformerException if the port is taken, or a file of TLS cannot be used
   */
  public static GrpcFront start(
      HttpOptions options, int port, ModelRepository models, MeterRegistry meters) {
    OptionalLibrary.GRPC.require("gRPC");
    return new GrpcFront(options, port, models, meters);
  }

  private static PerformerException unable(HttpOptions options, int port, Exception why) {
    Throwable cause = why.getCause() instanceof IOException inner ? inner : why;
    if (options.tls() != null && why instanceof IllegalArgumentException) {
      String text = "%s, %s: gRPC cannot listen with this certificate and key: %s";
      var tls = options.tls();
      String reason = "" + (why.getCause() == null ? why : why.getCause()).getMessage();
      return new PerformerException(text.formatted(tls.certificate(), tls.key(), reason), why);
    }
    String reason =
        cause instanceof IOException broken ? AtomicFiles.describe(broken) : cause.getMessage();
    String text = "%s:%d: gRPC cannot listen here: %s; choose another address or port";
    return new PerformerException(text.formatted(options.host(), port, reason), why);
  }

  /** Questions about the server itself do not wait behind predictions. */
  private final class ByKind implements ServerCallExecutorSupplier {
    @Override
    public <Q, R> Executor getExecutor(ServerCall<Q, R> call, Metadata headers) {
      return Guard.isCounted(call) ? workers : control;
    }
  }

  private synchronized void tellHealth() {
    if (!isDraining) {
      var status = models.isReady() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
      SERVICES.forEach(service -> health.setStatus(service, status));
    }
  }

  /** The port that it listens on. */
  public int port() {
    return server.getPort();
  }

  /** Refuses new calls as unavailable, and waits until those that run have ended. */
  public boolean drain(Duration most) {
    synchronized (this) {
      isDraining = true;
      health.enterTerminalState(); // not serving
    }
    server.shutdown();
    try {
      return server.awaitTermination(most.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /** Ends all calls. */
  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination(5, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    stopThreads();
  }

  private void stopThreads() {
    timer.shutdownNow();
    workers.shutdownNow();
    control.shutdownNow();
  }
}
