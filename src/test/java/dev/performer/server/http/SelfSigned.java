package dev.performer.server.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.Base64;
import java.util.List;

/** A certificate that nobody vouches for, and its key. */
public final class SelfSigned {
  private SelfSigned() {}

  /** Makes one of localhost. */
  public static HttpOptions.Tls in(Path folder) throws Exception {
    Path store = folder.resolve("store.p12");
    String tool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
    var command =
        "-genkeypair -alias server -keyalg EC -dname CN=localhost -validity 2 -storetype PKCS12 -storepass secret -keystore";
    var made = new ProcessBuilder(tool);
    made.command().addAll(List.of(command.split(" ")));
    made.command().add(store.toString());
    assertThat(made.inheritIO().start().waitFor()).isZero();
    KeyStore keys = KeyStore.getInstance(store.toFile(), "secret".toCharArray());
    Path certificate = folder.resolve("cert.pem");
    Path key = folder.resolve("key.pem");
    write(certificate, "CERTIFICATE", keys.getCertificate("server").getEncoded());
    write(key, "PRIVATE KEY", keys.getKey("server", "secret".toCharArray()).getEncoded());
    return new HttpOptions.Tls(certificate, key);
  }

  private static void write(Path file, String type, byte[] bytes) throws IOException {
    String text = Base64.getMimeEncoder().encodeToString(bytes);
    Files.writeString(
        file, "-----BEGIN %1$s-----\n%2$s\n-----END %1$s-----\n".formatted(type, text));
  }
}
