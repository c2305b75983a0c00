package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.Overrides;
import dev.performer.recipe.Recipe;
import dev.performer.recipe.RecipeTraining;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Recipes that the command line names. */
final class RecipeFiles {
  private RecipeFiles() {}

  /** Reads a recipe with settings over it. @throws PerformerException if it is no file, or wrong */
  static Recipe read(Path file, List<String> settings) {
    if (!Files.isRegularFile(file)) {
      throw new PerformerException(file + " is no file; expected a recipe in YAML");
    }
    Overrides overrides = new Overrides(settings);
    List<Path> folders = List.of(Project.home(), file.toAbsolutePath().getParent());
    return Recipe.of(overrides.read(file), overrides.source(file.toString()), folders);
  }

  /** Reads a recipe, or that of a run. */
  static Recipe readOrRun(Path path) {
    return RecipeTraining.isRun(path) ? Recipe.ofRun(path) : read(path, List.of());
  }
}
