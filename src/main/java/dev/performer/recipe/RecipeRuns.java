package dev.performer.recipe;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.Labels;
import dev.performer.data.StrictJson;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The key {@code runs} of a recipe: what is compared, each run by its name and its settings over
 * the recipe's keys. A recipe without the key is one run.
 *
 * @param runs in the order in which they train
 */
public record RecipeRuns(List<Run> runs) {

  /**
   * A variant of a recipe.
   *
   * @param name lower-case letters, digits and hyphens
   * @param from the run before it whose weights it starts with; null for random ones
   * @param set settings, {@code a.b=c}
   */
  public record Run(String name, String from, List<String> set) {
    public Run {
      set = set == null ? List.of() : List.copyOf(set);
    }
  }

  private record Keys(String from, List<String> set) {}

  /** Copies the list. */
  public RecipeRuns {
    runs = List.copyOf(runs);
  }

  /** Of a recipe's file. @throws PerformerException that names the file and the key */
  public static RecipeRuns read(Path recipe) {
    return of(StrictJson.readTree(recipe), recipe.toString(), recipe);
  }

  private static RecipeRuns of(JsonNode tree, String source, Path file) {
    JsonNode keys = tree.path("runs");
    if (keys.isMissingNode() || keys.isNull()) {
      String name = file.getFileName().toString().replaceFirst("\\.[^.]*$", "");
      return new RecipeRuns(List.of(new Run(name, null, List.of())));
    }
    if (!(keys instanceof ObjectNode object) || object.isEmpty()) {
      throw new PerformerException(
          source + ": key runs: expected an object of runs, such as {relu: {set: []}}");
    }
    List<Run> runs = new ArrayList<>();
    object
        .fields()
        .forEachRemaining(
            field -> {
              String name = field.getKey();
              Keys run = StrictJson.bind(field.getValue(), Keys.class, source + ": runs." + name);
              if (!name.matches("[a-z0-9][a-z0-9-]*")) {
                throw new PerformerException(
                    source + ": key runs: expected names of letters, digits and -, not " + name);
              }
              if (run.from() != null
                  && runs.stream().noneMatch(other -> other.name().equals(run.from()))) {
                throw new PerformerException(
                    source + ": runs." + name + ".from: no run " + run.from() + " before it");
              }
              runs.add(new Run(name, run.from(), run.set()));
            });
    return new RecipeRuns(runs);
  }

  /** A run. @throws PerformerException that names the runs there are */
  public Run named(String name) {
    return runs.stream()
        .filter(run -> run.name().equals(name))
        .findFirst()
        .orElseThrow(
            () -> {
              List<String> names = runs.stream().map(Run::name).toList();
              return new PerformerException(
                  "the recipe has no run '%s'; did you mean %s? It has %s"
                      .formatted(name, Labels.nearest(name, names), String.join(", ", names)));
            });
  }
}
