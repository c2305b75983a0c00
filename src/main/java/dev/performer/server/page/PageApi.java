package dev.performer.server.page;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.server.http.Api;
import dev.performer.server.http.Call;
import dev.performer.server.http.Failure;
import dev.performer.server.http.Json;
import dev.performer.server.http.Routes;
import dev.performer.server.http.Schema;
import dev.performer.server.models.Lease;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.models.Version;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;

/** The page at {@code /}: HTML, a script and a style sheet, which load nothing from elsewhere. */
public final class PageApi implements Api {
  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  private final ModelRepository models;

  /** Over models, which stay their owner's. */
  public PageApi(ModelRepository models) {
    this.models = models;
  }

  @Override
  public String name() {
    return "page";
  }

  @Override
  public void mount(Routes routes) {
    mount(routes, "/", "index.html", "text/html; charset=utf-8");
    mount(routes, "/page.js", "page.js", "text/javascript; charset=utf-8");
    mount(routes, "/page.css", "page.css", "text/css; charset=utf-8");
    routes
        .get("/v1/models/{model}/card", this::card)
        .summary("What a model is and can do: its performer.json, abilities and signatures.")
        .response(ModelDescription.SCHEMA);
  }

  private static void mount(Routes routes, String path, String file, String type) {
    byte[] bytes = resource(file);
    routes
        .get(path, call -> send(call, type, bytes))
        .summary("A part of the page for a browser.")
        .response(type.replaceFirst(";.*", ""), Schema.of("string", "the file"))
        .open();
  }

  private static void send(Call call, String type, byte[] bytes) {
    call.header("Content-Security-Policy", POLICY);
    call.header("Referrer-Policy", "no-referrer");
    call.header("Cache-Control", "no-cache");
    call.respond(200, type, bytes);
  }

  private static byte[] resource(String file) {
    try (InputStream in = PageApi.class.getResourceAsStream(file)) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void card(Call call) {
    String name = call.parameter("model");
    try (Lease lease = models.lease(name, Version.LATEST)) {
      call.model(name);
      call.respond(200, ModelDescription.of(lease.model()));
    }
  }

  @Override
  public JsonNode error(Failure failure) {
    return Json.object().put("error", failure.message());
  }
}
