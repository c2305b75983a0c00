package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.data.ArrayRows;
import dev.performer.data.BatchSize;
import dev.performer.data.ImageRows;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.TfRecordExamples;
import dev.performer.pipeline.TaskReader.Known;
import dev.performer.pipeline.TaskReader.Read;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.savedmodel.TensorSpec;
import dev.performer.training.LabelledBatch;
import dev.performer.training.LossTerm;
import dev.performer.training.Objective;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.tensorflow.proto.DataType;

/** Reads examples that are arrays, named like the inputs of a signature, and labels beside them. */
final class ArrayTaskReader {
  private static final int ROWS = 32;

  private final SignatureSpec spec;
  private final FineTuneTask task;
  private final int size;
  private final Map<String, TensorSpec> inputs = new LinkedHashMap<>();
  private final Map<String, NpyArray> scalars = new LinkedHashMap<>(); // whether it trains: no

  ArrayTaskReader(SignatureSpec spec, FineTuneTask task, SequenceBatching batching) {
    this.spec = spec;
    this.task = task;
    for (TensorSpec input : spec.inputs().values()) {
      if (!input.shape().isUnknown() && input.shape().numDimensions() == 0) {
        scalars.put(input.name(), ImportedModel.zero(input));
      } else {
        inputs.put(input.name(), input);
      }
    }
    int fixed =
        inputs.values().stream()
            .mapToInt(i -> i.shape().isUnknown() ? 0 : (int) i.shape().get(0))
            .max()
            .orElse(0);
    int wished = batching.size() instanceof BatchSize.Sequences given ? given.count() : ROWS;
    size = fixed > 0 ? fixed : wished;
  }

  /** Whether there is an array for each input. */
  boolean fits(Collection<String> arrays) {
    return arrays.containsAll(inputs.keySet());
  }

  Read read(Path file, Known known) {
    ArrayRows rows =
        Files.isDirectory(file)
            ? images(file, known.classes())
            : file.toString().toLowerCase(java.util.Locale.ROOT).endsWith(".npz")
                ? ArrayRows.npz(file)
                : records(file, known);
    inputs.keySet().forEach(rows::requireArray);
    List<String> labels =
        task.kind() == null
            ? task.losses().stream().map(LossTerm::target).distinct().toList()
            : rows instanceof ImageRows
                ? List.of(ImageRows.CLASS)
                : TaskReader.labels(task.kind(), known, rows.arrays(), file, "array");
    labels.forEach(rows::requireArray);
    requireInputs(rows);
    if (task.kind() == null) {
      return new Read(
          examples(rows, (of, at) -> targets(of, labels, at)), List.of(), null, null, labels);
    }
    List<String> classes =
        rows instanceof ImageRows images
            ? images.folder().classes()
            : classes(rows, labels, known.classes(), file);
    TaskReader.requireClasses(task.kind(), classes, file, labels);
    return new Read(
        examples(rows, (of, at) -> labelled(of, labels, at)), classes, null, null, labels);
  }

  private LabelledExamples examples(
      ArrayRows rows, java.util.function.BiFunction<ArrayRows, int[], LabelledBatch> batches) {
    return new LabelledExamples.Arrays(rows, size, batches);
  }

  private ArrayRows records(Path file, Known known) {
    Set<String> features = new LinkedHashSet<>(inputs.keySet());
    if (task.kind() == null) {
      task.losses().forEach(loss -> features.add(loss.target()));
    } else {
      features.addAll(
          TaskReader.labels(task.kind(), known, TfRecordExamples.features(file), file, "feature"));
    }
    ArrayRows flat = TfRecordExamples.arrays(file, List.copyOf(features));
    Map<String, NpyArray> shaped = new LinkedHashMap<>();
    int[] all = IntStream.range(0, flat.size()).toArray();
    for (String feature : features) {
      NpyArray array = flat.rows(feature, all);
      TensorSpec input = inputs.get(feature);
      shaped.put(feature, input == null ? array : shaped(file, input, array));
    }
    return ArrayRows.of(flat.name(), shaped);
  }

  /** The values of an example in the shape of an input, of which one size may follow from them. */
  private static NpyArray shaped(Path file, TensorSpec input, NpyArray array) {
    long values = array.shape()[1];
    long[] shape = input.shape().isUnknown() ? array.shape().clone() : input.shape().asArray();
    if (shape.length == 0) {
      shape = array.shape().clone();
    }
    shape[0] = array.shape()[0];
    int open = -1;
    long product = 1;
    for (int i = 1; i < shape.length; i++) {
      if (shape[i] < 0) {
        String text = "%s: the input %s has more than one free size; give an .npz";
        require(open < 0, text, file, input);
        open = i;
      } else {
        product *= shape[i];
      }
    }
    if (open >= 0) {
      shape[open] = product == 0 ? 0 : values / product;
      product *= shape[open];
    }
    String text = "%s: feature '%s' has %d values, which do not fit the input %s";
    require(product == values, text, file, input.name(), values, input);
    return new NpyArray(array.type(), shape, array.bytes());
  }

  private ImageRows images(Path folder, List<String> classes) {
    boolean isOne = task.kind() != null && task.kind().hasClasses() && !task.kind().isOfTokens();
    require(
        isOne, "%s: images of a folder have one class each: they are for classification", folder);
    TensorSpec input = inputs.values().iterator().next();
    boolean isImage =
        inputs.size() == 1
            && !input.shape().isUnknown()
            && input.shape().numDimensions() == 4
            && List.of(1L, 3L).contains(input.shape().get(3));
    String text = "%s: images need one input [B, H, W, 1] or [B, H, W, 3]; the signature %s has %s";
    require(isImage, text, folder, spec.name(), spec.inputs().values());
    long[] shape = input.shape().asArray();
    boolean isWhole =
        !List.of(DataType.DT_FLOAT, DataType.DT_DOUBLE, DataType.DT_HALF, DataType.DT_BFLOAT16)
            .contains(input.type());
    ImageRows rows =
        ImageRows.open(
            folder,
            input.name(),
            (int) shape[3],
            (int) shape[1],
            (int) shape[2],
            task.black(),
            task.white(),
            isWhole,
            classes);
    rows.check();
    return rows;
  }

  /** The first rows must be what the inputs take. */
  private void requireInputs(ArrayRows rows) {
    int[] places = new int[size]; // the first row again and again
    inputs
        .values()
        .forEach(
            input -> {
              try {
                ImportedModel.tensor(input, rows.rows(input.name(), places)).close();
              } catch (dev.performer.PerformerException e) {
                throw e.in(rows.name());
              }
            });
  }

  private Map<String, NpyArray> inputs(ArrayRows rows, int[] places) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    inputs.keySet().forEach(name -> arrays.put(name, rows.rows(name, places)));
    arrays.putAll(scalars);
    return arrays;
  }

  private LabelledBatch targets(ArrayRows rows, List<String> names, int[] places) {
    Map<String, NpyArray> arrays = inputs(rows, places);
    names.forEach(name -> arrays.put(name, rows.rows(name, places)));
    float[] ones = new float[places.length];
    Arrays.fill(ones, 1);
    return LabelledBatch.of(places.length, new int[0], ones, new float[0], arrays);
  }

  private LabelledBatch labelled(ArrayRows rows, List<String> labels, int[] places) {
    Map<String, NpyArray> inputs = inputs(rows, places);
    if (task.kind().hasClasses()) {
      int[] classes = rows.rows(labels.get(0), places).ints();
      float[] weights = Objective.TokenClassification.known(classes);
      return LabelledBatch.of(places.length, classes, weights, new float[0], inputs);
    }
    float[] numbers = numbers(rows, labels, places);
    float[] weights = Objective.Values.known(numbers);
    return LabelledBatch.of(places.length, new int[0], weights, numbers, inputs);
  }

  /** The numbers of all labels beside each other, {@code [places, K]}. */
  private static float[] numbers(ArrayRows rows, List<String> labels, int[] places) {
    List<float[]> parts = new ArrayList<>();
    labels.forEach(label -> parts.add(rows.rows(label, places).floats()));
    int width = parts.stream().mapToInt(part -> part.length / places.length).sum();
    float[] numbers = new float[width * places.length];
    int at = 0;
    for (float[] part : parts) {
      int own = part.length / places.length;
      for (int row = 0; row < places.length; row++) {
        System.arraycopy(part, row * own, numbers, row * width + at, own);
      }
      at += own;
    }
    return numbers;
  }

  private List<String> classes(ArrayRows rows, List<String> labels, List<String> known, Path file) {
    int[] all = IntStream.range(0, rows.size()).toArray();
    Kind kind = task.kind();
    int count = 0;
    List<String> named = new ArrayList<>();
    for (String label : labels) {
      NpyArray array = rows.rows(label, all);
      int rank = array.shape().length;
      int most = kind.isOfTokens() ? 2 : kind.hasClasses() ? 1 : 2;
      int least = kind.isOfTokens() ? 2 : 1;
      boolean isColumn = kind.hasClasses() && rank == 2 && array.shape()[1] == 1;
      String shape = "%s: the labels %s %s do not fit %s, whose labels are %s";
      String expected = kind.isOfTokens() ? "[N, L]" : kind.hasClasses() ? "[N]" : "[N] or [N, K]";
      boolean fits = rank >= least && rank <= most || isColumn;
      require(fits, shape, file, label, array, kind.label(), expected);
      if (kind.hasClasses()) {
        boolean isFloat = array.type() == NpyType.FLOAT32 || array.type() == NpyType.FLOAT64;
        require(!isFloat, "%s: the labels %s %s are no whole numbers", file, label, array);
        require(
            labels.size() == 1,
            "%s: %s needs one array of labels, not %d",
            file,
            kind.label(),
            labels.size());
        int[] ids = array.ints();
        count = IntStream.of(ids).max().orElse(-1) + 1;
        boolean isFree = kind.isOfTokens(); // a token may have no class
        boolean isSound = isFree || IntStream.of(ids).allMatch(id -> id >= 0);
        require(isSound, "%s: the labels %s hold a class below 0", file, label);
      } else {
        int width = rank == 1 ? 1 : Math.toIntExact(array.shape()[1]);
        named.addAll(TaskReader.numbered(label, width, kind));
        for (float value : array.floats()) {
          boolean isFlag = kind.hasNumbers() || value == 0 || value == 1;
          boolean isSound = Float.isNaN(value) || isFlag && Float.isFinite(value);
          String odd = "%s: the labels %s hold %s; expected %s";
          String what = kind.hasNumbers() ? "finite numbers" : "0 and 1";
          require(isSound, odd, file, label, value, what);
        }
      }
    }
    List<String> own = kind.hasClasses() ? TaskReader.numbered("", count, kind) : named;
    String differ = "%s: %d %s, but %d are known: %s";
    String what = kind.hasClasses() ? "classes" : "labels";
    boolean fits =
        known == null || (kind.hasClasses() ? count <= known.size() : own.size() == known.size());
    require(fits, differ, file, own.size(), what, known == null ? 0 : known.size(), known);
    return known == null ? own : known;
  }
}
