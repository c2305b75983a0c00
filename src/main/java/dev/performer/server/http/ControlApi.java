package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.nio.charset.StandardCharsets;

/** What operators look at: whether it lives, whether it is ready, its figures, its routes. */
final class ControlApi implements Api {
  private final PrometheusMeterRegistry meters;
  private final Backend backend;

  private final Pool pool;
  private final RouteTable table;
  private volatile JsonNode document;

  ControlApi(PrometheusMeterRegistry meters, Backend backend, Pool pool, RouteTable table) {
    this.pool = pool;
    this.meters = meters;
    this.backend = backend;
    this.table = table;
  }

  @Override
  public String name() {
    return "control";
  }

  @Override
  public void mount(Routes routes) {
    JsonNode status = Json.object().put("type", "object");
    routes
        .get("/health", call -> call.respond(200, Json.object().put("status", "alive")))
        .summary("Whether the server lives.")
        .response(status)
        .open()
        .control();
    routes
        .get("/ready", this::ready)
        .summary("Whether all models are loaded and the server does not drain; else status 503.")
        .response(status)
        .open()
        .control();
    routes
        .get(
            "/metrics",
            call -> call.respond(200, "text/plain; version=0.0.4; charset=utf-8", figures()))
        .summary("Figures in Prometheus' text format.")
        .response("text/plain", Json.object().put("type", "string"))
        .control();
    routes
        .get("/openapi.json", this::openApi)
        .summary("This description of all routes.")
        .response(status)
        .open()
        .control();
  }

  private void openApi(Call call) {
    if (document == null) { // when all are mounted
      String version = ControlApi.class.getPackage().getImplementationVersion();
      document = OpenApi.document(table.operations(), version == null ? "development" : version);
    }
    call.respond(200, document);
  }

  private void ready(Call call) {
    boolean ready = backend.isReady() && !pool.isDraining();
    call.respond(ready ? 200 : 503, Json.object().put("status", ready ? "ready" : "not ready"));
  }

  private byte[] figures() {
    backend.measure();
    return meters.scrape().getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public JsonNode error(Failure failure) {
    return Json.object().put("error", failure.message());
  }
}
