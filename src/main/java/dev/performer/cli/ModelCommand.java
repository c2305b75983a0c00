package dev.performer.cli;

import java.nio.file.Path;
import picocli.CommandLine.Parameters;

/** A command that works with a model. */
abstract class ModelCommand extends PerformerCommand {
  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel, or a run directory.")
  Path model;
}
