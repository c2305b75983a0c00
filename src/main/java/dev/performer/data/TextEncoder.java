package dev.performer.data;

import java.util.Optional;

/** Turns texts into token ids and remembers what it could not take as it stood. */
@FunctionalInterface
public interface TextEncoder {
  /** The ids of a text, without begin and end tokens. */
  int[] encode(String text);

  /** One line for the user on what was not taken as it stood; empty if there was nothing. */
  default Optional<String> report() {
    return Optional.empty();
  }
}
