package dev.performer.recipe;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.data.Labels;
import dev.performer.data.StrictJson;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A recipe's name, and its key {@code runs}: what is compared, in the order of training, each run
 * by its name and its settings over the recipe's keys. Without the key it is one run.
 */
public record RecipeRuns(String name, List<Run> runs) {

  /**
   * A variant of a recipe's file.
   *
   * @param from the run before it whose weights it starts with; null for random ones
   * @param set settings, {@code a.b=c}
   */
  public record Run(Path recipe, String name, String from, List<String> set) {
    public Run {
      set = set == null ? List.of() : List.copyOf(set);
    }
  }

  private record Keys(String from, List<String> set) {}

  /** Of a recipe's file. */
  public static RecipeRuns read(Path recipe) {
    String own = recipe.getFileName().toString().replaceFirst("\\.[^.]*$", "");
    JsonNode keys = StrictJson.readTree(recipe).path("runs");
    if (keys.isMissingNode() || keys.isNull()) {
      return new RecipeRuns(own, List.of(new Run(recipe, own, null, null)));
    }
    boolean hasRuns = keys.isObject() && !keys.isEmpty();
    require(hasRuns, "%s: key runs: expected an object of runs, such as {relu: {set: []}}", recipe);
    List<Run> runs = new ArrayList<>();
    for (var field : keys.properties()) {
      String name = field.getKey();
      Keys run = StrictJson.bind(field.getValue(), Keys.class, recipe + ": runs." + name);
      boolean isName = name.matches("[a-z0-9][a-z0-9-]*");
      String text = "%s: key runs: expected names of letters, digits and -, not %s";
      require(isName, text, recipe, name);
      boolean isKnown = run.from == null || runs.stream().anyMatch(r -> r.name.equals(run.from));
      require(isKnown, "%s: runs.%s.from: no run %s before it", recipe, name, run.from);
      runs.add(new Run(recipe, name, run.from, run.set));
    }
    return new RecipeRuns(own, List.copyOf(runs));
  }

  /** A run; an error names those there are. */
  public Run named(String run) {
    List<String> names = runs.stream().map(Run::name).toList();
    String text = "the recipe has no run '%s'; did you mean %s? It has %s";
    String known = String.join(", ", names);
    require(names.contains(run), text, run, Labels.nearest(run, names), known);
    return runs.get(names.indexOf(run));
  }
}
