package dev.performer.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.performer.PerformerException;
import dev.performer.data.Field;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.RowFormat;
import dev.performer.pipeline.BatchJob;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Predictor;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "predict",
    description = {
      "Run a signature of a SavedModel.",
      "",
      "Arrays of an .npz are named like the signature's inputs; they run at once where they have less than 64 MiB and no --batch",
      "is given, else some rows at a time. Sequences or texts of other files become token ids; Y.npz then also has 'tokens' and",
      "'lengths'. A model that was fine-tuned on classes also names the class of each row: 'prediction' in Y.csv and Y.parquet."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer predict MODEL --inputs x.npz --output y.npz",
      "  ./performer predict MODEL --inputs x.fasta --output y.npz"
    })
final class PredictCommand extends PerformerCommand.OnModel {
  private static final int SHOWN = 20; // names of classes
  private static final int MOST_LISTED = 100_000;
  private static final long MOST_AT_ONCE = 64 << 20; // bytes of a file of arrays
  private static final double LONGEST_TIMEOUT = 1e9; // seconds: 30 years

  @Mixin private SharedOptions.Inputs options;

  @Mixin private SequenceInputs data;

  @Option(
      names = "--output",
      required = true,
      description = "Y.npz, Y.csv or Y.parquet, for the outputs.")
  private Path target;

  @Option(names = "--timeout", description = "Seconds that the signature, maybe endless, may run.")
  private double timeout = 3600;

  private record Result(
      Path output,
      double seconds,
      @JsonInclude(JsonInclude.Include.NON_EMPTY) Map<String, long[]> shapes,
      @JsonInclude(JsonInclude.Include.NON_EMPTY) List<String> classes,
      Long rows,
      Long resumed,
      Long skipped,
      Path skippedFile) {}

  private final List<String> classes = new ArrayList<>();

  @Override
  public Integer call() {
    long start = System.nanoTime();
    Path first = data.inputs().get(0);
    String name = first.getFileName().toString().toLowerCase(Locale.ROOT);
    String unnamed =
        "%s: a .npy has no name; put the array in an .npz, numpy.savez('X.npz', name=array)";
    PerformerException.require(!name.endsWith(".npy"), unnamed, first);
    boolean isArrays = name.endsWith(".npz");
    boolean isNpz = RowFormat.written(target) == RowFormat.NPZ;
    data.requireSound(target, false);
    if (isArrays && isNpz && !data.isOfRows() && first.toFile().length() < MOST_AT_ONCE) {
      Map<String, NpyArray> outputs = arrays(first);
      write(target, outputs);
      Map<String, long[]> shapes = new LinkedHashMap<>();
      outputs.forEach((key, array) -> shapes.put(key, array.shape()));
      return done(new Result(target, seconds(start), shapes, classes, null, null, null, null));
    }
    BatchJob.Result result = rows(isArrays);
    SequenceInputs.print(this, result);
    Map<String, long[]> shapes = isNpz ? Npz.shapes(target) : Map.of();
    return done(
        new Result(
            target,
            seconds(start),
            shapes,
            classes.size() < result.rows() ? List.of() : classes,
            result.rows(),
            result.resumed(),
            result.skipped(),
            result.skippedFile()));
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  private Model open() {
    return Model.open(model, options.given());
  }

  private Predictor load(Model opened) {
    boolean isTime = timeout > 0 && timeout <= LONGEST_TIMEOUT;
    requireUsage(isTime, "--timeout must be above 0, not %s", timeout);
    return Predictor.load(opened, Duration.ofMillis((long) Math.ceil(1000 * timeout)));
  }

  /** All rows in one run, whatever the outputs are. */
  private Map<String, NpyArray> arrays(Path inputs) {
    Map<String, NpyArray> feeds = Npz.read(inputs);
    try (Predictor predictor = load(open())) {
      Map<String, NpyArray> outputs = predictor.predict(feeds);
      predictor.names(outputs).forEach(this::show);
      return outputs;
    } catch (PerformerException e) {
      String text = e.getMessage();
      boolean isPlaced = text.contains(inputs.toString()) || text.startsWith(model.toString());
      throw isPlaced ? e : e.in(inputs);
    }
  }

  private BatchJob.Result rows(boolean isArrays) {
    Model opened = open();
    if (isArrays) {
      try (Predictor predictor = load(opened)) {
        return data.run(data.job(predictor.rows(), target), (fields, items, values) -> {});
      }
    }
    var input = opened.input(data.isIds());
    try (Predictor predictor = load(opened)) {
      BatchJob job = data.job(predictor.rows(input), target);
      return data.run(
          job,
          (fields, items, rows) -> {
            int place = Field.place(fields, Predictor.PREDICTION);
            rows.stream().filter(row -> place >= 0).forEach(row -> show((String) row[place]));
          });
    }
  }

  private void show(String name) {
    if (classes.size() < SHOWN) {
      print("%s", name);
    } else if (classes.size() == SHOWN) {
      print("… (--json has all, up to 100,000)");
    }
    if (classes.size() < MOST_LISTED) {
      classes.add(name);
    }
  }
}
