package dev.performer.server;

import dev.performer.server.http.Api;
import dev.performer.server.http.HttpFront;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A server of models: its ports are open from {@link #start} until it is closed. */
public final class PerformerServer implements AutoCloseable {
  private final PrometheusMeterRegistry meters;
  private final HttpFront front;

  private PerformerServer(PrometheusMeterRegistry meters, HttpFront front) {
    this.meters = meters;
    this.front = front;
  }

  /**
   * Loads the models and listens.
   *
   * @throws dev.performer.PerformerException if a model cannot be loaded or a port not be bound
   */
  public static PerformerServer start(ServerOptions options) {
    var meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    List<Api> apis = new ArrayList<>();
    HttpFront front = HttpFront.start(options.http(), apis, meters, () -> true);
    return new PerformerServer(meters, front);
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
    meters.close();
  }
}
