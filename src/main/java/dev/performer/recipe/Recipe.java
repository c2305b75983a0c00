package dev.performer.recipe;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Labels;
import dev.performer.data.StrictJson;
import dev.performer.data.Vocabulary;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.training.LoopOptions;
import dev.performer.training.Measures;
import dev.performer.training.Memory;
import dev.performer.training.Objective;
import dev.performer.training.Trainable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * A training from scratch: YAML with the keys {@code task}, {@code data}, {@code model} and {@code
 * training}; {@link Runs} reads {@code runs}. Parsing checks all keys and that files are there, and
 * reads no data. {@link #toJson} writes every default out, and {@link #of} gives an equal recipe
 * back.
 *
 * <p>{@code model} is a preset and keys over it, as {@link PerformerConfig#of} takes them; task,
 * vocabulary and padding follow from the rest. May be used by many threads.
 */
public final class Recipe {
  private static final List<String> SECTIONS = List.of("task", "data", "model", "training", "runs");

  private final Task task;
  private final LoopOptions training;
  private final Supplier<Opened> files;
  private Opened opened;

  private Recipe(Task task, LoopOptions training, Supplier<Opened> files) {
    this.task = task;
    this.training = training;
    this.files = files;
  }

  /** Of parts that agree. */
  Recipe(Task task, RecipeData data, PerformerConfig model, LoopOptions training) {
    this(task, training, () -> new Opened(data, model));
  }

  /**
   * Reads a tree.
   *
   * @param source how errors name it
   * @param folders where files are looked for that it names, besides the current folder
   * @throws PerformerException that names source and key: unknown, out of range, contradicting
   *     another, or a file that is not there
   */
  public static Recipe of(JsonNode tree, String source, List<Path> folders) {
    return of(tree, source, name -> find(name, folders), true);
  }

  /** The recipe of a run, whose data need not be there any more and whose projections are drawn. */
  public static Recipe ofRun(Path run) {
    Path file = run.resolve(RecipeTraining.RECIPE);
    return of(StrictJson.readTree(file), file.toString(), UnaryOperator.identity(), false);
  }

  private static Recipe of(
      JsonNode tree, String source, UnaryOperator<String> files, boolean draws) {
    require(tree.isObject(), "%s: expected an object with the keys %s", source, SECTIONS);
    ObjectNode sections = (ObjectNode) withNumbers(tree.deepCopy());
    requireKnown(sections, SECTIONS, source);
    return in(
        source,
        () -> {
          Task task = task(sections.path("task"), source);
          ObjectNode loop = section(sections, "training", source);
          LoopOptions training = LoopOptions.DEFAULT.with(loop, source + ": training");
          RecipeTask.of(task).check(training);
          ObjectNode data = section(sections, "data", source);
          RecipeData named = DataDefaults.named(task, data, files, source + ": data");
          ObjectNode model = section(sections, "model", source);
          Supplier<Opened> opener =
              () -> {
                RecipeData whole = DataDefaults.measured(named, task, training.xla());
                PerformerConfig built = model(model, task, whole, source, draws);
                Memory.check(built, training);
                return new Opened(whole, built);
              };
          Recipe recipe = new Recipe(task, training, () -> in(source, opener));
          if (!DataDefaults.dependsOnFiles(named, task, model.has("classes"))) {
            recipe.opened();
          }
          return recipe;
        });
  }

  /** With the source in front of errors. */
  private static <T> T in(String source, Supplier<T> part) {
    try {
      return part.get();
    } catch (PerformerException e) {
      throw e.in(source);
    }
  }

  /** Names a key that there is not, and the nearest that there is. */
  static void requireKnown(ObjectNode section, Collection<String> known, String source) {
    for (var field : section.properties()) {
      String key = field.getKey();
      if (!known.contains(key)) {
        String text = "%s: unknown key %s; did you mean %s?";
        String nearest = Labels.nearest(key, known);
        throw new PerformerException(text.formatted(source, Excerpt.of(key), nearest));
      }
    }
  }

  /** What follows from what the files hold. */
  private record Opened(RecipeData data, PerformerConfig model) {}

  private synchronized Opened opened() {
    if (opened == null) {
      opened = files.get();
    }
    return opened;
  }

  /** What the model learns to guess. */
  public Task task() {
    return task;
  }

  /** How it is trained. */
  public LoopOptions training() {
    return training;
  }

  /**
   * What is learnt, with everything filled in; the first call opens files where that takes them.
   *
   * @throws PerformerException if they cannot be read, or what they hold contradicts the recipe
   */
  public RecipeData data() {
    return opened().data();
  }

  /** The model; its vocabulary and classes may follow from the data, which {@link #data} opens. */
  public PerformerConfig model() {
    return opened().model();
  }

  /** YAML 1.1 takes 1e-3 for text, which nobody means. */
  private static JsonNode withNumbers(JsonNode node) {
    if (node instanceof ObjectNode object) {
      object.fields().forEachRemaining(field -> field.setValue(withNumbers(field.getValue())));
      return object;
    }
    return node.isTextual() && node.textValue().matches("[-+]?\\d+[eE][-+]?\\d{1,4}")
        ? JsonNodeFactory.instance.numberNode(Double.parseDouble(node.textValue()))
        : node;
  }

  private static Task task(JsonNode node, String source) {
    ObjectNode only = JsonNodeFactory.instance.objectNode();
    only.set("task", node.isTextual() ? node : null);
    Task task = StrictJson.bind(only, TaskOnly.class, source).task();
    String known = String.join(", ", RecipeTask.labels()).replaceFirst(", ([^,]+)$", " or $1");
    boolean isKnown = task != null && task != Task.ENCODER;
    require(isKnown, "task is %s; expected %s", StrictJson.shown(node), known);
    return task;
  }

  private record TaskOnly(Task task) {}

  private static ObjectNode section(ObjectNode sections, String key, String source) {
    JsonNode node = sections.path(key);
    boolean isFit = node.isMissingNode() || node.isNull() || node.isObject();
    require(isFit, "%s: key %s: expected an object", source, key);
    return sections.withObjectProperty(key); // made where it lacks
  }

  private static PerformerConfig model(
      ObjectNode keys, Task task, RecipeData data, String source, boolean draws) {
    ObjectNode all = keys.deepCopy();
    JsonNode name = StrictJson.tree(task);
    JsonNode given = all.get("task");
    String text = "model.task is %s, but task is %s; leave model.task out";
    require(given == null || given.equals(name), text, StrictJson.shown(all.path("task")), name);
    all.set("task", name);
    Vocabulary vocabulary = data.tokens();
    int size = vocabulary.size();
    int length = data.length();
    all.putIfAbsent("vocabularySize", IntNode.valueOf(size));
    RecipeTask.of(task).complete(all, data);
    all.putIfAbsent("maxLength", IntNode.valueOf(length));
    var pad = vocabulary.pad();
    all.putIfAbsent("padId", pad.isPresent() ? IntNode.valueOf(pad.getAsInt()) : all.nullNode());
    PerformerConfig model = PerformerConfig.of(all, source + ": model");
    int own = model.vocabularySize();
    String small = "model.vocabularySize is %d, but the vocabulary %s has %d tokens";
    require(own >= size, small, own, data.vocabulary(), size);
    int longest = model.maxLength();
    require(longest >= length, "model.maxLength is %d, but data.length is %d", longest, length);
    RecipeTask.of(task).check(data, model);
    if (draws) {
      model.requireDrawable();
    }
    return model;
  }

  private static String find(String name, List<Path> folders) {
    var all = Stream.concat(Stream.of(Path.of("")), folders.stream());
    var found = all.map(folder -> folder.resolve(name)).filter(Files::exists).findFirst();
    String others = folders.isEmpty() ? "" : " and " + folders;
    String text = "the data file %s does not exist; looked in the current folder%s";
    require(found.isPresent(), text, name, others);
    return found.get().toAbsolutePath().normalize().toString();
  }

  /** Of {@link #training}. */
  public BatchSize batchSize() {
    return training.batch();
  }

  /** What the model learns to guess. */
  public Objective objective() {
    return RecipeTask.of(task).objective(data(), model());
  }

  /** What is measured besides. */
  Measures measures(Trainable model) {
    return RecipeTask.of(task).measures(model, data(), model().classes());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Recipe that && toJson().equals(that.toJson());
  }

  @Override
  public int hashCode() {
    return Objects.hash(task, training);
  }

  /** All keys, with every default. */
  public ObjectNode toJson() {
    ObjectNode tree = JsonNodeFactory.instance.objectNode().put("task", task.label());
    tree.set("data", data().toJson());
    tree.set("model", model().toJson());
    return tree.set("training", training.toJson());
  }

  /** Settings of an earlier run, with the keys of {@code training} as {@link #toJson} has them. */
  static JsonNode current(JsonNode was) {
    ObjectNode now = was.deepCopy();
    now.set("training", LoopOptions.DEFAULT.with(was.path("training"), "recipe.yaml").toJson());
    return now;
  }

  /**
   * A recipe's name, and its key {@code runs}: what is compared, in the order of training, each run
   * by its name and its settings over the recipe's keys. Without the key it is one run.
   */
  public record Runs(String name, List<Run> runs) {
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
    public static Runs read(Path recipe) {
      String own = recipe.getFileName().toString().replaceFirst("\\.[^.]*$", "");
      JsonNode keys = StrictJson.readTree(recipe).path("runs");
      if (keys.isMissingNode() || keys.isNull()) {
        return new Runs(own, List.of(new Run(recipe, own, null, null)));
      }
      boolean hasRuns = keys.isObject() && !keys.isEmpty();
      require(
          hasRuns, "%s: key runs: expected an object of runs, such as {relu: {set: []}}", recipe);
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
      return new Runs(own, List.copyOf(runs));
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
}
