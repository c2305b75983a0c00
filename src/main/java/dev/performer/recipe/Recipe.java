package dev.performer.recipe;

import com.fasterxml.jackson.databind.JsonNode;
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
import dev.performer.training.Objective;
import dev.performer.training.Trainable;
import dev.performer.training.run.ResumePolicy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * A training from scratch: YAML with the keys {@code task}, {@code data}, {@code model} and {@code
 * training}; {@link RecipeRuns} reads {@code runs}. Parsing checks all keys and that files are
 * there, and reads no data. {@link #toJson} writes every default out, and {@link #of} gives an
 * equal recipe back.
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
    if (!(withNumbers(tree) instanceof ObjectNode sections)) {
      throw new PerformerException(source + ": expected an object with the keys " + SECTIONS);
    }
    requireKnown(sections, SECTIONS, source);
    try {
      Task task = task(sections.path("task"), source);
      LoopOptions training =
          LoopOptions.DEFAULT.with(section(sections, "training", source), source + ": training");
      RecipeTask.of(task).check(training);
      ObjectNode data = section(sections, "data", source);
      RecipeData named = RecipeData.named(task, data, files, source + ": data");
      boolean isOneLength = training.xla() && !data.hasNonNull("bucket");
      ObjectNode model = section(sections, "model", source);
      Recipe recipe =
          new Recipe(task, training, () -> opened(task, named, isOneLength, model, source, draws));
      if (!named.dependsOnFiles(task, model.has("classes"))) {
        recipe.opened();
      }
      return recipe;
    } catch (PerformerException e) {
      throw of(source, e);
    }
  }

  /** Names a key that there is not, and the nearest that there is. */
  static void requireKnown(ObjectNode section, Collection<String> known, String source) {
    section
        .fieldNames()
        .forEachRemaining(
            key -> {
              if (!known.contains(key)) {
                throw new PerformerException(
                    "%s: unknown key %s; did you mean %s?"
                        .formatted(source, Excerpt.of(key), Labels.nearest(key, known)));
              }
            });
  }

  /** What follows from what the files hold. */
  private record Opened(RecipeData data, PerformerConfig model) {}

  private static Opened opened(
      Task task,
      RecipeData named,
      boolean isOneLength,
      ObjectNode keys,
      String source,
      boolean draws) {
    try {
      RecipeData data = named.measured(task);
      if (isOneLength) {
        int length = data.length();
        data = data.with(all -> all.put("bucket", length)); // XLA compiles every length anew
      }
      PerformerConfig model = model(keys, task, data, source);
      check(task, data, model);
      if (draws) {
        model.requireDrawable();
      }
      return new Opened(data, model);
    } catch (PerformerException e) {
      throw of(source, e);
    }
  }

  private static PerformerException of(String source, PerformerException e) {
    String message = e.getMessage();
    return message.startsWith(source) ? e : new PerformerException(source + ": " + message, e);
  }

  private synchronized Opened opened() {
    if (opened == null) {
      opened = files.get();
    }
    return opened;
  }

  /** One of a causal or masked language model, a classification, a regression, spans to write. */
  public Task task() {
    return task;
  }

  /** How it is trained. */
  public LoopOptions training() {
    return training;
  }

  /**
   * What is learnt, with everything filled in: the first call opens files where that follows from
   * them.
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
      ObjectNode result = JsonNodeFactory.instance.objectNode();
      object.fields().forEachRemaining(f -> result.set(f.getKey(), withNumbers(f.getValue())));
      return result;
    }
    return node.isTextual() && node.textValue().matches("[-+]?\\d+[eE][-+]?\\d{1,4}")
        ? JsonNodeFactory.instance.numberNode(Double.parseDouble(node.textValue()))
        : node;
  }

  private static Task task(JsonNode node, String source) {
    Task task =
        node.isTextual()
            ? StrictJson.bind(
                    JsonNodeFactory.instance.objectNode().set("task", node), TaskOnly.class, source)
                .task()
            : null;
    if (task == null || task == Task.ENCODER) {
      throw new PerformerException(
          "task is "
              + StrictJson.shown(node)
              + "; expected "
              + String.join(", ", RecipeTask.labels()).replaceFirst(", ([^,]+)$", " or $1"));
    }
    return task;
  }

  private record TaskOnly(Task task) {}

  private static ObjectNode section(ObjectNode sections, String key, String source) {
    JsonNode node = sections.get(key);
    if (node == null || node.isNull()) {
      return JsonNodeFactory.instance.objectNode();
    }
    if (node instanceof ObjectNode object) {
      return object;
    }
    throw new PerformerException(source + ": key " + key + ": expected an object");
  }

  private static PerformerConfig model(ObjectNode keys, Task task, RecipeData data, String source) {
    ObjectNode all = keys.deepCopy();
    Vocabulary vocabulary = data.tokens();
    JsonNode name = StrictJson.tree(task);
    if (all.has("task") && !all.get("task").equals(name)) {
      throw new PerformerException(
          "model.task is " + all.get("task") + ", but task is " + name + "; leave model.task out");
    }
    all.set("task", name);
    if (!all.has("vocabularySize")) {
      all.put("vocabularySize", vocabulary.size());
    }
    RecipeTask.of(task).complete(all, data);
    if (!all.has("maxLength")) {
      all.put("maxLength", data.length());
    }
    if (!all.has("padId")) {
      all.set(
          "padId",
          vocabulary.pad().isPresent()
              ? JsonNodeFactory.instance.numberNode(vocabulary.pad().getAsInt())
              : JsonNodeFactory.instance.nullNode());
    }
    return PerformerConfig.of(all, source + ": model");
  }

  private static void check(Task task, RecipeData data, PerformerConfig model) {
    Vocabulary vocabulary = data.tokens();
    if (model.vocabularySize() < vocabulary.size()) {
      throw new PerformerException(
          "model.vocabularySize is %d, but the vocabulary %s has %d tokens"
              .formatted(model.vocabularySize(), data.vocabulary(), vocabulary.size()));
    }
    if (model.maxLength() < data.length()) {
      throw new PerformerException(
          "model.maxLength is " + model.maxLength() + ", but data.length is " + data.length());
    }
    RecipeTask.of(task).check(data, model);
  }

  private static String find(String name, List<Path> folders) {
    List<Path> candidates = new ArrayList<>(List.of(Path.of(name)));
    folders.forEach(folder -> candidates.add(folder.resolve(name)));
    for (Path candidate : candidates) {
      if (Files.exists(candidate)) {
        return candidate.toAbsolutePath().normalize().toString();
      }
    }
    throw new PerformerException(
        "the data file %s does not exist; looked in the current folder%s"
            .formatted(name, folders.isEmpty() ? "" : " and " + folders));
  }

  /** Sequences per batch. */
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
    return other instanceof Recipe that
        && task == that.task
        && training.equals(that.training)
        && opened().equals(that.opened());
  }

  @Override
  public int hashCode() {
    return Objects.hash(task, training);
  }

  /** All keys, with every default. */
  public ObjectNode toJson() {
    ObjectNode tree = JsonNodeFactory.instance.objectNode();
    tree.put("task", task.label());
    tree.set("data", data().toJson());
    tree.set("model", model().toJson());
    tree.set("training", training.toJson());
    return tree;
  }

  /** The same as a file. */
  public String toYaml() {
    return StrictJson.yaml(toJson());
  }

  /**
   * Compares with the recipe that a run began with.
   *
   * @param was what its directory holds
   * @return keys that changed and may
   * @throws PerformerException that names a key that must not change
   */
  public List<String> changesFrom(JsonNode was, Path run) {
    return ResumePolicy.changes(current(was), toJson(), run);
  }

  /**
   * The settings of an earlier run with the keys of {@code training} as {@link #toJson} has them.
   */
  static JsonNode current(JsonNode was) {
    ObjectNode now = was.deepCopy();
    now.set("training", LoopOptions.DEFAULT.with(was.path("training"), "recipe.yaml").toJson());
    return now;
  }
}
