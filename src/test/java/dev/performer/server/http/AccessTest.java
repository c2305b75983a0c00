package dev.performer.server.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Keys, pages of other sites, and TLS. */
@Timeout(60)
class AccessTest {
  private static final class OpenApiOnly implements Api {
    @Override
    public String name() {
      return "none";
    }

    @Override
    public void mount(Routes routes) {
      routes.post("/work", call -> call.respond(200, Json.object()));
    }

    @Override
    public JsonNode error(Failure failure) {
      return Json.object().put("error", failure.message());
    }
  }

  private static HttpFront start(HttpOptions options) {
    var meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    return HttpFront.start(options.withPort(0), List.of(new OpenApiOnly()), meters, () -> true);
  }

  private static String send(Socket socket, String line, String... headers) throws IOException {
    String text =
        line + " HTTP/1.1\r\n" + String.join("\r\n", headers) + "\r\nConnection: close\r\n\r\n";
    OutputStream out = socket.getOutputStream();
    out.write(text.getBytes(StandardCharsets.UTF_8));
    out.flush();
    return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }

  private static String status(HttpFront front, String line, String... headers) throws IOException {
    try (Socket socket = new Socket("127.0.0.1", front.port())) {
      return send(socket, line, headers).substring(9, 12);
    }
  }

  @Test
  void takesOneOfItsKeysOnly() throws IOException {
    var keys = List.of("first-key", "schlüssel");
    try (HttpFront front = start(HttpOptions.DEFAULT.withAccess(keys, List.of()))) {
      String work = "POST /work";
      assertThat(status(front, work, "Host: x")).isEqualTo("401");
      assertThat(status(front, work, "Host: x", "Authorization: Bearer ")).isEqualTo("401");
      assertThat(status(front, work, "Host: x", "Authorization: first-key")).isEqualTo("401");
      assertThat(status(front, work, "Host: x", "Authorization: Bearer first-ke")).isEqualTo("401");
      assertThat(status(front, work, "Host: x", "authorization: bearer first-key"))
          .isEqualTo("200");
      assertThat(status(front, "GET /metrics", "Host: x")).isEqualTo("401");
      assertThat(status(front, "GET /nothing", "Host: x")).isEqualTo("401");
      assertThat(status(front, "GET /health", "Host: x")).isEqualTo("200");
    }
  }

  @Test
  void pagesOfOtherSitesMayNotCall() throws IOException {
    var sites = List.of("https://example.org");
    try (HttpFront front = start(HttpOptions.DEFAULT.withAccess(List.of(), sites))) {
      String own = "Host: localhost:" + front.port();
      String work = "POST /work";
      assertThat(status(front, work, "Host: anything")).isEqualTo("200");
      assertThat(status(front, work, own, "Origin: http://localhost:" + front.port()))
          .isEqualTo("200");
      assertThat(status(front, work, own, "Origin: http://evil.example")).isEqualTo("403");
      assertThat(status(front, work, own, "Origin: null")).isEqualTo("403");
      // A name of another site that points to this machine.
      assertThat(status(front, work, "Host: evil.example", "Origin: http://evil.example"))
          .isEqualTo("403");
      assertThat(status(front, work, "Host: evil.example", "User-Agent: Mozilla/5.0"))
          .isEqualTo("403");
      assertThat(status(front, work, own, "Origin: https://example.org")).isEqualTo("200");
      try (Socket socket = new Socket("127.0.0.1", front.port())) {
        String answer = send(socket, "OPTIONS /work", own, "Origin: https://example.org");
        assertThat(answer).contains("Access-Control-Allow-Origin: https://example.org");
      }
    }
  }

  @Test
  void speaksTls(@TempDir Path folder) throws Exception {
    var files = SelfSigned.in(folder);
    Path key = files.key();
    var tls = HttpOptions.DEFAULT.withTls(files);
    try (HttpFront front = start(tls)) {
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, new TrustManager[] {new Trusting()}, null);
      try (Socket socket = context.getSocketFactory().createSocket("127.0.0.1", front.port())) {
        assertThat(send(socket, "GET /health", "Host: localhost")).startsWith("HTTP/1.1 200");
      }
    }
    Files.writeString(key, "nothing");
    assertThatThrownBy(() -> start(tls).close())
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(key.toString())
        .hasMessageNotContaining("\n");
  }

  private static final class Trusting implements X509TrustManager {
    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) {}

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }

  @Test
  void aTakenPortIsOneLine() {
    try (HttpFront front = start(HttpOptions.DEFAULT)) {
      var options = HttpOptions.DEFAULT.withPort(front.port());
      assertThatThrownBy(
              () -> {
                var meters = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
                HttpFront.start(options, List.of(new OpenApiOnly()), meters, () -> true);
              })
          .isInstanceOf(PerformerException.class)
          .hasMessageContaining("127.0.0.1:" + front.port())
          .hasMessageContaining("in use");
    }
  }
}
