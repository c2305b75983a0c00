package dev.performer.server;

import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.server.grpc.GrpcFront;
import dev.performer.server.http.Api;
import dev.performer.server.http.Backend;
import dev.performer.server.http.HttpFront;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.openai.OpenAiApi;
import dev.performer.server.page.PageApi;
import dev.performer.server.rest.RestApi;
import dev.performer.server.text.TextApi;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * A server of models: its ports are open from {@link #start} until it is closed, and it is ready
 * when the models are loaded.
 */
public final class PerformerServer implements AutoCloseable {
  private final PrometheusMeterRegistry meters;
  private final ModelRepository models;
  private final HttpFront front;
  private final GrpcFront grpc; // null for none

  private PerformerServer(ServerOptions options) {
    meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    models = ModelRepository.open(options.models(), options.repository());
    List<Api> apis = new ArrayList<>();
    apis.add(new RestApi(models));
    int mostTokens = options.http().limits().tokens();
    apis.add(new OpenAiApi(models, mostTokens));
    apis.add(new TextApi(models, mostTokens, options.sessionFolder()));
    apis.add(new PageApi(models));
    var backend = new Models(models, new ModelMeters(models, meters));
    HttpFront http = null;
    try {
      http = HttpFront.start(options.http(), apis, meters, backend);
      Integer port = options.grpcPort();
      grpc = port == null ? null : GrpcFront.start(options.http(), port, models, meters);
    } catch (RuntimeException e) {
      if (http != null) {
        http.close();
      }
      models.close();
      throw e;
    }
    front = http;
  }

  /**
   * Listens, and loads the models meanwhile.
   *
   * @throws PerformerException if a port cannot be bound
   */
  public static PerformerServer start(ServerOptions options) {
    OptionalLibrary.HTTP.require("a server");
    OptionalLibrary.METRICS.require("a server");
    if (options.grpcPort() != null) {
      OptionalLibrary.GRPC.require("a server of gRPC");
    }
    return new PerformerServer(options);
  }

  /** Waits until all models have been loaded, or could not be. */
  public void awaitLoaded() {
    models.awaitLoaded();
  }

  /** The models. */
  public ModelRepository models() {
    return models;
  }

  /** The port that HTTP has. */
  public int port() {
    return front.port();
  }

  /** The port that gRPC has; -1 if it is not served. */
  public int grpcPort() {
    return grpc == null ? -1 : grpc.port();
  }

  /** The figures of {@code /metrics}. */
  public MeterRegistry meters() {
    return meters;
  }

  /**
   * Takes no more calls, and waits until those that run have ended.
   *
   * @param most how long
   * @return whether they have
   */
  public boolean drain(Duration most) {
    if (grpc == null) {
      return front.drain(most);
    }
    var calls = CompletableFuture.supplyAsync(() -> grpc.drain(most));
    boolean isDrained = front.drain(most);
    return calls.join() && isDrained;
  }

  /** Ends all calls and frees the models. */
  @Override
  public void close() {
    front.close();
    if (grpc != null) {
      grpc.close();
    }
    models.close();
    meters.close();
  }

  private record Models(ModelRepository models, ModelMeters meters) implements Backend {
    @Override
    public boolean isReady() {
      return models.isReady();
    }

    @Override
    public String shown(String message) {
      return models.config().withoutPaths(message);
    }

    @Override
    public void measure() {
      meters.refresh();
    }
  }
}
