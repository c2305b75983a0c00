package dev.performer.server.models;

import static dev.performer.PerformerException.require;

/**
 * Which version of a model a request is for: a number, a label, or the latest.
 *
 * @param number null where another is given, or none
 * @param label null where another is given, or none
 */
public record Version(Long number, String label) {
  /** The one with the greatest number that can be served. */
  public static final Version LATEST = new Version(null, null);

  public Version {
    require(number == null || label == null, "a version has a number or a label, not both");
  }

  /** By number. */
  public static Version of(long number) {
    return new Version(number, null);
  }

  /** By label, which the configuration gives a number. */
  public static Version label(String label) {
    return new Version(null, label);
  }
}
