package dev.performer.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.performer.PerformerException;
import dev.performer.data.DataFile;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.TokenizedSequences;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Predictor;
import java.nio.file.Path;
import java.time.Duration;
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
      "Arrays of an .npz are named like the signature's inputs. Sequences of a FASTA (.fasta, .fa, .faa, .gz) or of a .txt",
      "(one a line) become token ids; the output then also has 'tokens' and 'lengths'. A model that was fine-tuned on classes also",
      "names the class of each row."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer predict MODEL --inputs x.npz --output y.npz",
      "  ./performer predict MODEL --inputs x.fasta --output y.npz"
    })
final class PredictCommand extends PerformerCommand.OnModel {
  private static final int SHOWN = 20; // names of classes
  private static final double LONGEST_TIMEOUT = 1e9; // seconds: 30 years

  @Mixin private SharedOptions.Inputs options;

  @Option(names = "--inputs", required = true, description = "X.npz, X.fasta(.gz) or X.txt.")
  private Path inputs;

  @Option(names = "--output", required = true, description = "Y.npz, for the outputs.")
  private Path target;

  @Option(names = "--length", description = "Tokens of a sequence at most, for FASTA and text.")
  private int length = 1024;

  @Option(names = "--batch", description = "Sequences that run at a time, for FASTA and text.")
  private int batch = 8;

  @Option(names = "--timeout", description = "Seconds that the signature, maybe endless, may run.")
  private double timeout = 3600;

  private record Result(
      Path output,
      double seconds,
      Map<String, long[]> shapes,
      @JsonInclude(JsonInclude.Include.NON_EMPTY) List<String> classes) {}

  private List<String> classes = List.of();

  @Override
  public Integer call() {
    long start = System.nanoTime();
    String name = inputs.getFileName().toString().toLowerCase(Locale.ROOT);
    String unnamed =
        "%s: a .npy has no name; put the array in an .npz, numpy.savez('X.npz', name=array)";
    PerformerException.require(!name.endsWith(".npy"), unnamed, inputs);
    DataFile.require(inputs);
    Map<String, NpyArray> outputs = name.endsWith(".npz") ? arrays() : sequences();
    write(target, outputs);
    Map<String, long[]> shapes = new LinkedHashMap<>();
    outputs.forEach((key, array) -> shapes.put(key, array.shape()));
    return done(new Result(target, (System.nanoTime() - start) / 1e9, shapes, classes));
  }

  private Model open() {
    return Model.open(model, options.given());
  }

  private Predictor load(Model opened) {
    boolean isTime = timeout > 0 && timeout <= LONGEST_TIMEOUT;
    requireUsage(isTime, "--timeout must be above 0, not %s", timeout);
    return Predictor.load(opened, Duration.ofMillis((long) Math.ceil(1000 * timeout)));
  }

  private Map<String, NpyArray> arrays() {
    Map<String, NpyArray> feeds = Npz.read(inputs);
    try (Predictor predictor = load(open())) {
      return named(predictor, predictor.predict(feeds));
    } catch (PerformerException e) {
      String text = e.getMessage();
      boolean isPlaced = text.contains(inputs.toString()) || text.startsWith(model.toString());
      throw isPlaced ? e : e.in(inputs);
    }
  }

  private Map<String, NpyArray> sequences() {
    requireUsage(
        length >= 1 && batch >= 1, "--length, --batch: at least 1, not %d and %d", length, batch);
    Model opened = open();
    var input = opened.input();
    input.notes().forEach(System.err::println);
    TokenizedSequences sequences = TokenizedSequences.read(inputs, input.tokenizer(), length);
    sequences.report().ifPresent(System.err::println);
    try (Predictor predictor = load(opened)) {
      return named(predictor, predictor.predict(input, sequences, batch));
    }
  }

  private Map<String, NpyArray> named(Predictor predictor, Map<String, NpyArray> outputs) {
    classes = predictor.names(outputs);
    classes.stream().limit(SHOWN).forEach(name -> print("%s", name));
    if (classes.size() > SHOWN) {
      print("… (%d in all; --json has them)", classes.size());
    }
    return outputs;
  }
}
