package dev.performer.cli;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Where a command writes a SavedModel. */
final class TargetOptions {
  @Option(names = "--output", required = true, description = "Where the SavedModel goes.")
  Path path;

  @Option(names = "--replace", description = "Replace a SavedModel that is there.")
  boolean replace;
}
