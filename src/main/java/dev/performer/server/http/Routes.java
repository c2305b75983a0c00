package dev.performer.server.http;

/**
 * The routes of a server. A path is a template such as <code>/v1/models/{model}:predict</code>, as
 * OpenAPI has them: a name in braces stands for one or more characters other than {@code /} and
 * {@code :}. Of two that match, that with more fixed characters is taken.
 */
public interface Routes {
  /** Answers GET, and HEAD without a body. */
  Operation get(String path, Handler handler);

  /** Answers POST. */
  Operation post(String path, Handler handler);

  /** Answers PUT. */
  Operation put(String path, Handler handler);

  /** Answers DELETE. */
  Operation delete(String path, Handler handler);
}
