package dev.performer.server.http;

import com.fasterxml.jackson.databind.JsonNode;

/** A set of routes whose clients know errors in one shape. */
public interface Api {
  /** Its name in metrics and in the OpenAPI document, such as {@code openai}. */
  String name();

  /** Adds its routes. */
  void mount(Routes routes);

  /** The body of an error, also where no route of the API is met but its paths are the nearest. */
  JsonNode error(Failure failure);
}
