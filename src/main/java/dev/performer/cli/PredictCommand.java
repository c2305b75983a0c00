package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.DataFile;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.TokenizedSequences;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Predictor;
import dev.performer.pipeline.TokenInput;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code predict}: run a signature of a SavedModel. */
@Command(
    name = "predict",
    description = {
      "Run a signature of a SavedModel.",
      "",
      "Arrays of an .npz are named like the signature's inputs. Sequences of a FASTA (.fasta, .fa, .faa, .gz) or of a .txt",
      "(one a line) become token ids; the output then also has 'tokens' and 'lengths'."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer predict MODEL --inputs x.npz --output y.npz",
      "  ./performer predict MODEL --inputs x.fasta --output y.npz"
    })
final class PredictCommand implements Callable<Integer> {
  private static final double LONGEST_TIMEOUT = 1e9; // seconds: 30 years

  @Mixin private OutputOptions output;
  @Mixin private InputOptions options;

  @Parameters(index = "0", paramLabel = "MODEL", description = "A SavedModel, or a run directory.")
  private Path model;

  @Option(
      names = "--inputs",
      required = true,
      paramLabel = "X",
      description = "X.npz, X.fasta(.gz) or X.txt.")
  private Path inputs;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "Y.npz",
      description = "Where the outputs go.")
  private Path target;

  @Option(
      names = "--length",
      defaultValue = "1024",
      description = "Tokens of a sequence at most, for FASTA and text (default: ${DEFAULT-VALUE}).")
  private int length;

  @Option(
      names = "--batch",
      defaultValue = "8",
      description = "Sequences that run at a time, for FASTA and text (default: ${DEFAULT-VALUE}).")
  private int batch;

  @Option(
      names = "--timeout",
      defaultValue = "3600",
      paramLabel = "SECONDS",
      description = {
        "How long one run of the signature may take, which may hold an endless loop",
        "(default: ${DEFAULT-VALUE})."
      })
  private double timeout;

  @Override
  public Integer call() {
    long start = System.nanoTime();
    String name = inputs.getFileName().toString().toLowerCase(Locale.ROOT);
    if (name.endsWith(".npy")) {
      throw new PerformerException(
          inputs
              + ": a .npy has no name; put the array in an .npz, numpy.savez('X.npz', name=array)");
    }
    DataFile.require(inputs);
    Map<String, NpyArray> outputs = name.endsWith(".npz") ? arrays() : sequences();
    Npz.write(target, outputs);
    outputs.forEach((key, array) -> output.text().println(key + " " + array));
    output.text().println("Written: " + target);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("output", target.toString());
    json.put("seconds", (System.nanoTime() - start) / 1e9);
    Map<String, long[]> shapes = new LinkedHashMap<>();
    outputs.forEach((key, array) -> shapes.put(key, array.shape()));
    json.put("shapes", shapes);
    output.printJson(json);
    return 0;
  }

  private Predictor load(Model opened) {
    if (!(timeout > 0 && timeout <= LONGEST_TIMEOUT)) {
      throw new UsageException("--timeout must be more than 0 seconds, not " + timeout);
    }
    return Predictor.load(opened, Duration.ofMillis((long) Math.ceil(1000 * timeout)));
  }

  private Map<String, NpyArray> arrays() {
    Map<String, NpyArray> feeds = Npz.read(inputs);
    try (Predictor predictor = load(Model.open(model, options.builder().build()))) {
      return predictor.predict(feeds);
    } catch (PerformerException e) {
      throw e.getMessage().contains(inputs.toString())
              || e.getMessage().startsWith(model.toString())
          ? e
          : e.in(inputs);
    }
  }

  private Map<String, NpyArray> sequences() {
    if (length < 1 || batch < 1) {
      throw new UsageException(
          "--length and --batch must be at least 1, not " + length + " and " + batch);
    }
    Model opened = Model.open(model, options.builder().build());
    TokenInput input = opened.input();
    input.notes().forEach(System.err::println);
    TokenizedSequences sequences = TokenizedSequences.read(inputs, input.tokenizer(), length);
    sequences.report().ifPresent(System.err::println);
    try (Predictor predictor = load(opened)) {
      return predictor.predict(input, sequences, batch);
    }
  }
}
