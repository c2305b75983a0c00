package dev.performer.cli;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Which run directory a command trains in, and what to do where that goes wrong. */
final class RunOptions {
  @Option(
      names = "--output",
      required = true,
      paramLabel = "RUN",
      description = "The run directory.")
  Path run;

  @Option(
      names = "--resume",
      description = "Go on from the newest checkpoint of the run directory.")
  boolean resume;

  @Option(
      names = "--debug-numerics",
      description = "If a number is no longer finite, find the op that it came from.")
  boolean debugNumerics;

  /** A new run. */
  static RunOptions of(Path run) {
    RunOptions at = new RunOptions();
    at.run = run;
    return at;
  }
}
