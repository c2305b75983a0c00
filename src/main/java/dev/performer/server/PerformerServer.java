package dev.performer.server;

import dev.performer.OptionalLibrary;
import dev.performer.PerformerException;
import dev.performer.server.http.Api;
import dev.performer.server.http.HttpFront;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.openai.OpenAiApi;
import dev.performer.server.text.TextApi;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * A server of models: its ports are open from {@link #start} until it is closed, and it is ready
 * when the models are loaded.
 */
public final class PerformerServer implements AutoCloseable {
  private final PrometheusMeterRegistry meters;
  private final ModelRepository models;
  private final HttpFront front;

  private PerformerServer(ServerOptions options) {
    meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    models = ModelRepository.open(options.models(), options.repository());
    List<Api> apis = new ArrayList<>();
    apis.add(new OpenAiApi(models));
    apis.add(new TextApi(models, options.sessionFolder()));
    try {
      front = HttpFront.start(options.http(), apis, meters, models::isReady);
    } catch (RuntimeException e) {
      models.close();
      throw e;
    }
  }

  /**
   * Listens, and loads the models meanwhile.
   *
   * @throws PerformerException if a port cannot be bound
   */
  public static PerformerServer start(ServerOptions options) {
    OptionalLibrary.HTTP.require("a server");
    OptionalLibrary.METRICS.require("a server");
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
    return front.drain(most);
  }

  /** Ends all calls and frees the models. */
  @Override
  public void close() {
    front.close();
    models.close();
    meters.close();
  }
}
