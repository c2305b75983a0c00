package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.function.UnaryOperator;

/**
 * Every setting of a run, defaults included.
 *
 * @param file that holds them in the run directory, JSON or YAML by its name; it marks the
 *     directory as a run
 * @param settings what {@link ResumePolicy} compares
 * @param current turns settings that an earlier version wrote into ones of this form
 */
public record RunSettings(String file, JsonNode settings, UnaryOperator<JsonNode> current) {
  /** The file of runs that no recipe describes. */
  public static final String CONFIG = "config.json";

  /** In {@link #CONFIG}, of a form that never changed. */
  public static RunSettings of(JsonNode settings) {
    return new RunSettings(CONFIG, settings, UnaryOperator.identity());
  }
}
