package dev.performer.cli;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Which run directory a command trains in, and what to do where that goes wrong. */
final class RunOptions {
  @Option(names = "--output", required = true, description = "The run directory.")
  Path run;

  @Option(names = "--resume", description = "Go on from the run directory's newest checkpoint.")
  boolean resume;

  @Option(names = "--debug-numerics", description = "Find the op whose number is not finite.")
  boolean debugNumerics;
}
