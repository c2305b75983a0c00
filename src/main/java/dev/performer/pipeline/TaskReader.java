package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batching;
import dev.performer.data.ExampleSource;
import dev.performer.data.Label;
import dev.performer.data.LabelColumns;
import dev.performer.data.TableExamples;
import dev.performer.data.TableFile;
import dev.performer.data.TextEncoder;
import dev.performer.data.TfRecordExamples;
import dev.performer.data.TfRecordExamples.All;
import dev.performer.data.TfRecordExamples.LabelFeature;
import dev.performer.recipe.RecipeData.Crop;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.training.Objective;
import dev.performer.training.Standardization;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Reads labelled examples for what a model is to guess. */
final class TaskReader {
  private static final int BUCKET = 16; // sentences are short
  private static final List<String> TEXTS = List.of("text", "sequence", "sentence");
  private static final List<String> LABELS = List.of("label", "labels", "target");
  private static final List<String> TAGS = List.of("tags", "labels", "label");

  private final Model model;
  private final SignatureSpec spec;
  private final FineTuneTask task;
  private final SequenceBatching batching;

  TaskReader(Model model, SignatureSpec spec, FineTuneTask task, SequenceBatching batching) {
    this.model = model;
    this.spec = spec;
    this.task = task;
    this.batching = batching;
  }

  /** Whether a file is of a kind that has labels. */
  static boolean isLabelled(Path file) {
    return TableFile.isNamed(file) || isRecords(file) || isArrays(file);
  }

  private static boolean isRecords(Path file) {
    return file.toString().matches("(?i).*\\.(tfrecords?|tfrec)(\\.gz)?");
  }

  private static boolean isArrays(Path file) {
    return file.toString().matches("(?i).*\\.npz") || Files.isDirectory(file);
  }

  /**
   * The examples of a file, and how they were read.
   *
   * @param classes names of what is guessed, by their ids
   * @param input how texts become tokens; null for arrays
   */
  record Read(
      LabelledExamples examples,
      List<String> classes,
      TokenInput input,
      String text,
      List<String> labels) {}

  /** How a file is read: columns or arrays, and classes by their ids; null for what it holds. */
  record Known(String text, List<String> labels, List<String> classes) {
    static Known of(Read read) {
      return new Known(read.text(), read.labels(), read.classes());
    }
  }

  /** Reads examples to learn from. */
  Read read(Path file) {
    return read(file, new Known(task.text(), task.labels().isEmpty() ? null : task.labels(), null));
  }

  /** The same, as others were read. @throws PerformerException if they do not fit */
  Read read(Path file, Known known) {
    boolean isTable = TableFile.isNamed(file);
    String other =
        "%s: labelled examples are CSV, TSV, TFRecords, an .npz of arrays or a folder of PNG images";
    require(isLabelled(file), other, file);
    String gone = "%s: no such file; expected labelled examples";
    require(Files.exists(file), gone, file);
    var arrays = new ArrayTaskReader(spec, task, batching);
    if (isArrays(file) || isRecords(file) && arrays.fits(TfRecordExamples.features(file))) {
      return arrays.read(file, known);
    }
    require(task.kind() != null, "%s: losses of outputs need arrays: an .npz or TFRecords", file);
    return isTable ? table(file, known) : records(file, known);
  }

  /** The name that is given, else the first usual one that there is. */
  static String find(
      String given, List<String> usual, Collection<String> there, Object file, String what) {
    Optional<String> found = usual.stream().filter(there::contains).findFirst();
    if (given == null && found.isEmpty()) {
      String text = "%s has no %s of the names %s; it has [%s]: name one";
      text = text.formatted(file, what, String.join(", ", usual), Excerpt.names(there));
      throw new PerformerException(text).settledBy(what.endsWith("text") ? "text" : "labels");
    }
    return given != null ? given : found.get();
  }

  /** The names of labels: those given, else the first usual one that there is. */
  static List<String> labels(
      Kind kind, Known known, Collection<String> there, Object file, String what) {
    return known.labels() != null
        ? known.labels()
        : List.of(find(null, kind.isOfTokens() ? TAGS : LABELS, there, file, what + " of labels"));
  }

  static void requireClasses(Kind kind, List<String> classes, Object file, List<String> labels) {
    String one = "%s: '%s' has one class only, %s; there is nothing to tell apart";
    boolean isVaried = !kind.hasClasses() || classes.size() > 1;
    require(isVaried, one, file, labels.get(0), Excerpt.names(classes));
    require(!classes.isEmpty(), "%s: '%s' has no label", file, labels.get(0));
  }

  private Read table(Path file, Known known) {
    TokenInput input = input(file);
    TableFile table = TableFile.of(file);
    List<String> there = table.columns();
    List<String> labels = labels(task.kind(), known, there, file, "column");
    String text = find(known.text(), TEXTS, there, file, "column of text");
    require(!labels.contains(text), "%s: column '%s' cannot be text and label", file, text);
    LabelColumns columns = columns(table, text, labels, known.classes());
    List<String> classes =
        columns instanceof LabelColumns.Class c
            ? c.names()
            : columns instanceof LabelColumns.Sets s
                ? s.names()
                : columns instanceof LabelColumns.Tags t ? t.names() : labels;
    requireClasses(task.kind(), classes, file, labels);
    TextEncoder encoder =
        columns instanceof LabelColumns.Tags ? input.tokenizer().encoder() : any -> new int[1];
    pass(new TableExamples(table, text, Optional.of(columns), encoder)); // before anything is made
    ExampleSource source =
        new TableExamples(table, text, Optional.of(columns), input.tokenizer().encoder());
    return read(source, input, classes, text, labels);
  }

  private LabelColumns columns(
      TableFile table, String text, List<String> labels, List<String> classes) {
    String first = labels.get(0);
    Kind kind = task.kind();
    require(
        labels.size() == 1 || !kind.hasClasses(),
        "%s: %s needs one column of labels, not %s",
        table.file(),
        kind.label(),
        labels.size());
    if (kind.hasNumbers()) {
      return new LabelColumns.Numbers(labels);
    } else if (kind.isOfTokens()) {
      var all = new LabelColumns.Tags(first, List.of());
      return new LabelColumns.Tags(
          first, classes != null ? classes : LabelColumns.names(table, text, all));
    } else if (kind.hasClasses()) {
      var all = new LabelColumns.Class(first, List.of());
      return new LabelColumns.Class(
          first, classes != null ? classes : LabelColumns.names(table, text, all));
    } else if (labels.size() > 1) {
      return new LabelColumns.Flags(labels);
    }
    var all = new LabelColumns.Sets(first, task.separator(), List.of());
    List<String> names = classes != null ? classes : LabelColumns.names(table, text, all);
    return Set.of("0", "1").containsAll(names) || names.equals(labels)
        ? new LabelColumns.Flags(labels)
        : new LabelColumns.Sets(first, task.separator(), names);
  }

  private Read records(Path file, Known known) {
    TokenInput input = input(file);
    var there = TfRecordExamples.features(file);
    List<String> labels = labels(task.kind(), known, there, file, "feature");
    String text = find(known.text(), TEXTS, there, file, "feature of text");
    require(labels.size() == 1, "%s: labels are one feature, not %d", file, labels.size());
    String label = labels.get(0);
    Kind kind = task.kind();
    boolean isOfOne = kind.hasClasses() && !kind.isOfTokens();
    var all = Optional.of(kind.isOfTokens() ? All.TAGS : All.NUMBERS).filter(a -> !isOfOne);
    var feature = new LabelFeature(label, isOfOne, all);
    int size = input.tokenizer().size();
    ExampleSource source =
        new TfRecordExamples(
            List.of(file), text, Optional.of(feature), size, input.tokenizer().encoder());
    int count =
        kind.isOfTokens()
            ? TfRecordExamples.tags(file, label)
            : isOfOne ? TfRecordExamples.classes(file, label) : width(source);
    List<String> classes = known.classes() != null ? known.classes() : numbered(label, count, kind);
    String more = "%s: class %d is not among the %d known";
    require(!kind.hasClasses() || count <= classes.size(), more, file, count - 1, classes.size());
    requireClasses(kind, classes, file, labels);
    pass(source);
    return read(source, input, classes, text, labels);
  }

  /** Names of what has numbers only. */
  static List<String> numbered(String label, int count, Kind kind) {
    return kind.hasClasses()
        ? IntStream.range(0, count).mapToObj(Integer::toString).toList()
        : count == 1
            ? List.of(label)
            : IntStream.range(0, count).mapToObj(i -> label + " " + i).toList();
  }

  private static int width(ExampleSource source) {
    try (var stream = source.open()) {
      return ((Label.Values) stream.next().label()).values().length;
    }
  }

  /** Finds what cannot be read before anything is written. */
  private void pass(ExampleSource source) {
    int expected = -1;
    try (var stream = source.open()) {
      while (stream.hasNext()) {
        if (stream.next().label() instanceof Label.Values own) {
          int values = own.values().length;
          expected = expected < 0 ? values : expected;
          String text = "%s: an example has %d labels; expected %d";
          require(values == expected, text, source.name(), values, expected);
        }
      }
    }
  }

  private Read read(
      ExampleSource source,
      TokenInput input,
      List<String> classes,
      String text,
      List<String> labels) {
    Kind kind = task.kind();
    Objective objective =
        kind.isOfTokens()
            ? new Objective.TokenClassification()
            : kind.hasClasses()
                ? new Objective.Classification(classes.size())
                : new Objective.Values();
    var examples = new LabelledExamples.Texts(source, input, batching(input), objective);
    return new Read(examples, classes, input, text, labels);
  }

  private TokenInput input(Path file) {
    try {
      return model.input();
    } catch (PerformerException e) {
      if (model.tokenizer().isPresent()) {
        throw e;
      }
      String text =
          "%s: does not say what its token ids mean, which the texts of %s need; give its tokenizer or vocabulary";
      throw new PerformerException(text.formatted(model.path(), file), e).settledBy("vocabulary");
    }
  }

  private Batching batching(TokenInput input) {
    int longest = input.maxLength();
    if (batching.length() != null && longest > 0) {
      input.requireLength(batching.length());
    }
    Integer padded = input.paddedLength() == 0 ? null : input.paddedLength();
    Batching all =
        batching.of(input.model(), input.tokenizer(), longest > 0 ? longest : null, padded);
    int length = input.length(0) > 1 && input.limit() == input.length(0) ? input.limit() : 0;
    Batching fixed = length > 0 ? all.withFixedLength(length) : all;
    return new Batching(
        fixed.length(),
        input.rows(0) > 0 ? new BatchSize.Sequences(input.rows(0)) : fixed.size(),
        padded != null || length > 0 ? fixed.length() : BUCKET,
        fixed.prependBos(),
        fixed.appendEos(),
        true,
        batching.crop() == Crop.RANDOM,
        fixed.window());
  }

  /** The unit of each number that is to be learnt. */
  static List<Standardization> units(Read read) {
    List<List<Double>> columns =
        Stream.<List<Double>>generate(ArrayList::new).limit(read.classes().size()).toList();
    try (var pass = read.examples().evaluation()) {
      while (pass.hasNext()) {
        var batch = pass.next();
        for (int i = 0; i < batch.weights().length; i++) {
          if (batch.weights()[i] > 0) {
            columns.get(i % columns.size()).add((double) batch.numbers()[i]);
          }
        }
      }
    }
    return IntStream.range(0, columns.size())
        .mapToObj(
            i ->
                Standardization.of(
                    read.examples().name() + ", " + read.classes().get(i),
                    columns.get(i).iterator()))
        .toList();
  }
}
