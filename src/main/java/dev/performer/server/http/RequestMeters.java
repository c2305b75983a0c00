package dev.performer.server.http;

import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.Locale;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.function.Consumer;

/** Counts calls and their times. */
final class RequestMeters {
  private final MeterRegistry meters;
  private final Consumer<String> accessLog;

  RequestMeters(MeterRegistry meters, Consumer<String> accessLog) {
    this.meters = meters;
    this.accessLog = accessLog;
  }

  void queue(Collection<?> waiting) {
    Gauge.builder("performer.http.queue", waiting, Collection::size)
        .description("requests that wait for a thread")
        .register(meters);
  }

  void running(ThreadPoolExecutor pool) {
    Gauge.builder("performer.http.running", pool, ThreadPoolExecutor::getActiveCount)
        .description("requests whose handler runs")
        .register(meters);
  }

  void record(Exchange call) {
    long nanos = System.nanoTime() - call.start;
    Timer.builder("performer.requests")
        .description("requests and their times, from the head to the end of the response")
        .tag("api", call.api.name())
        .tag("route", call.operation == null ? "" : call.operation.path)
        .tag("model", call.model())
        .tag("status", String.valueOf(call.status()))
        .serviceLevelObjectives(buckets())
        .register(meters)
        .record(Duration.ofNanos(nanos));
    if (accessLog != null) {
      String line = "%s %s \"%s %s\" %d %.1f ms";
      accessLog.accept(
          String.format(
              Locale.ROOT,
              line,
              Instant.now(),
              call.request.remoteAddress().hostAddress(),
              call.request.method(),
              dev.performer.Excerpt.of(call.request.path() == null ? "" : call.request.path()),
              call.status(),
              nanos / 1e6));
    }
  }

  private static Duration[] buckets() {
    return new Duration[] {
      Duration.ofMillis(5),
      Duration.ofMillis(25),
      Duration.ofMillis(100),
      Duration.ofMillis(500),
      Duration.ofSeconds(2),
      Duration.ofSeconds(10),
      Duration.ofSeconds(60)
    };
  }
}
