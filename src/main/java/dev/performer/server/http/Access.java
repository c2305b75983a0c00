package dev.performer.server.http;

import dev.performer.Excerpt;
import io.vertx.core.http.HttpServerRequest;
import java.net.URI;
import java.util.Locale;

/** Who may call: holders of a key, and pages of this server and of allowed sites. */
final class Access {
  private final HttpOptions options;
  private final Keys keys;
  private final boolean isLocal;

  Access(HttpOptions options) {
    this.options = options;
    keys = new Keys(options.keys());
    isLocal = options.host().matches("localhost|127\\..*|::1|\\[::1]");
  }

  /**
   * Checks a request.
   *
   * @throws Refusal of status 401 without a right key, 403 from a page of another site
   */
  void check(HttpServerRequest request, boolean isOpen) {
    String origin = request.getHeader("Origin");
    String host = request.getHeader("Host");
    String agent = request.getHeader("User-Agent");
    boolean isBrowser = origin != null || agent != null && agent.startsWith("Mozilla/");
    if (isLocal && keys.isEmpty() && isBrowser && host != null && !isOwn(host)) {
      // A name that another site's owner made point here would share that site's origin.
      String text = "the host %s is not this server's; allow it as an origin, or set a key";
      throw new Refusal(403, text.formatted(Excerpt.of(host)));
    }
    if (origin != null && !isAllowed(origin, host)) {
      String text = "pages of %s may not call this server; allow it as an origin";
      throw new Refusal(403, text.formatted(Excerpt.of(origin)));
    }
    if (!isOpen && !keys.admit(request.getHeader("Authorization"))) {
      throw new Refusal(401, "a key is needed: Authorization: Bearer KEY", "invalid_api_key", null);
    }
  }

  /** Whether a page of an origin may read responses, which takes a header. */
  boolean isListed(String origin) {
    return origin != null && options.origins().contains(origin);
  }

  private boolean isAllowed(String origin, String host) {
    String scheme = options.tls() == null ? "http://" : "https://";
    return isListed(origin) || origin.equals(scheme + host);
  }

  private boolean isOwn(String host) {
    String name = host.replaceAll(":\\d*$", "").toLowerCase(Locale.ROOT);
    boolean isAddress = name.startsWith("[") || name.matches("[0-9.]+");
    return isAddress
        || name.equals("localhost")
        || name.endsWith(".localhost")
        || name.equals(options.host().toLowerCase(Locale.ROOT))
        || options.origins().stream().anyMatch(origin -> name.equals(hostOf(origin)));
  }

  private static String hostOf(String origin) {
    return URI.create(origin).getHost();
  }
}
