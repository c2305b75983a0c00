package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.nio.charset.StandardCharsets;
import java.util.function.BooleanSupplier;

/** What operators and their tools ask: whether it lives, whether it is ready, its figures. */
final class ControlApi implements Api {
  private final PrometheusMeterRegistry meters;
  private final BooleanSupplier isReady;

  ControlApi(PrometheusMeterRegistry meters, BooleanSupplier isReady) {
    this.meters = meters;
    this.isReady = isReady;
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
  }

  private void ready(Call call) {
    boolean ready = isReady.getAsBoolean();
    call.respond(ready ? 200 : 503, Json.object().put("status", ready ? "ready" : "not ready"));
  }

  private byte[] figures() {
    return meters.scrape().getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public JsonNode error(Failure failure) {
    return Json.object().put("error", failure.message());
  }
}
