package dev.performer.cli;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.ProteinSequence;
import dev.performer.data.SequenceSource;
import dev.performer.pipeline.FineTuneJob;
import dev.performer.pipeline.LanguageModelSpec;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.SequenceBatching;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.optim.Schedule;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code quickstart}: the whole story on shipped data. */
@Command(
    name = "quickstart",
    description =
        "Inspect a Performer that Python made, evaluate it, fine-tune it on real proteins, export, reload and ask it.")
final class QuickstartCommand implements Callable<Integer> {
  /** Reaches a perplexity that more steps hardly improve, in about a minute on two cores. */
  private static final int STEPS = 120;

  private static final double LEARNING_RATE = 2e-3;
  private static final int WARMUP = 20;
  private static final int LENGTH = 256;
  private static final int BATCH_TOKENS = 8192;

  @Mixin private OutputOptions output;

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description =
          "Where everything goes; replaced if it is there (default: build/quickstart in the project).")
  private Path folder;

  @Option(
      names = "--steps",
      defaultValue = "" + STEPS,
      description = "Optimizer steps (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Override
  public Integer call() throws IOException {
    if (steps < 1) {
      throw new UsageException("--steps must be at least 1, not " + steps);
    }
    long start = System.nanoTime();
    PrintStream out = output.text();
    Path model = Project.shipped("savedmodels/protein-mlm/saved_model");
    Path train = Project.shipped("training/data/train.fasta.gz");
    Path valid = Project.shipped("training/data/valid.fasta.gz");
    Path run = folder != null ? folder : Project.home().resolve("build/quickstart");
    clear(run);

    out.println("1. A Performer that Python made: " + Project.home().relativize(model));
    out.println(InspectCommand.summary(model));

    LanguageModelSpec spec = Model.open(model).languageModel();
    spec.notes().forEach(System.err::println);
    FineTuneJob job =
        FineTuneJob.of(spec, SequenceSource.fasta(train), run)
            .validation(SequenceSource.fasta(valid))
            .batching(
                SequenceBatching.DEFAULT
                    .withLength(LENGTH)
                    .withSize(new BatchSize.Tokens(BATCH_TOKENS)))
            .options(
                FineTuneOptions.LOOP.toBuilder()
                    .schedule(new Schedule.Linear(LEARNING_RATE, WARMUP, 0))
                    .steps(steps)
                    .evaluateEvery(Math.max(1, (steps + 3) / 4))
                    .checkpointEvery(0)
                    .build());
    out.printf(
        "%n2. Evaluated and fine-tuned in Java on %s, %d steps%n",
        Project.home().relativize(train), steps);
    FineTuneJob.Outcome outcome = job.run(Progress.on(System.err));
    Path exported =
        outcome
            .model()
            .orElseThrow(
                () ->
                    new PerformerException(
                        "quickstart was stopped; run it again, which starts anew"));
    double seconds = (System.nanoTime() - start) / 1e9;
    out.printf(
        "%n3. Exported, and queried through the exported SavedModel: what is the hidden residue?%n");
    out.println(ask(exported, valid));

    out.println(table(outcome, seconds));
    out.println("The curve: " + shown(run.resolve("loss.png")));
    out.println("The model: " + shown(exported) + "  (Python: tf.saved_model.load)");
    Map<String, Object> json = TrainingSummary.of(outcome).json();
    json.put("maxOutputDifference", outcome.maxOutputDifference());
    json.put("seconds", seconds);
    json.put("plot", run.resolve("loss.png").toString());
    output.printJson(json);
    return 0;
  }

  /** Relative to the project where it is inside. */
  private static Path shown(Path path) {
    Path absolute = path.toAbsolutePath().normalize();
    return absolute.startsWith(Project.home()) ? Project.home().relativize(absolute) : path;
  }

  private static String table(FineTuneJob.Outcome outcome, double seconds) {
    var before = outcome.result().before();
    var after = outcome.result().best();
    return String.format(
        Locale.ROOT,
        "%n| validation      | before  | after   |%n|-----------------|---------|---------|%n"
            + "| perplexity      | %7.3f | %7.3f |%n| accuracy        | %5.2f %% | %5.2f %% |%n"
            + "%nExported model against the trained graph: largest difference of an output %.1e.%nWhole run: %.0f s, %.0f tokens/s in training.%n",
        before.perplexity(),
        after.perplexity(),
        100 * before.accuracy(),
        100 * after.accuracy(),
        outcome.maxOutputDifference(),
        seconds,
        outcome.result().tokensPerSecond());
  }

  /** Hides a residue of a validation protein and lists what the exported model thinks it was. */
  private static String ask(Path model, Path fasta) {
    ProteinSequence protein;
    try (var stream = SequenceSource.fasta(fasta).open()) {
      protein = stream.next();
    }
    String residues = protein.residues().substring(0, Math.min(60, protein.residues().length()));
    int hidden = residues.length() / 2;
    StringBuilder text = new StringBuilder();
    text.append("   ")
        .append(residues, 0, hidden)
        .append('?')
        .append(residues.substring(hidden + 1))
        .append("\n   ");
    try (Scorer scorer = Scorer.load(model)) {
      for (Scorer.Guess guess : scorer.guesses(residues, hidden, 5)) {
        text.append(
            String.format(Locale.ROOT, "%s %.1f %%   ", guess.token(), 100 * guess.probability()));
      }
    }
    return text.append("(it was ").append(residues.charAt(hidden)).append(')').toString();
  }

  /** Removes what an earlier quickstart left; refuses anything else. */
  private static void clear(Path run) throws IOException {
    if (!Files.exists(run)) {
      return;
    }
    if (!Files.isDirectory(run)) {
      throw new PerformerException(run + ": is a file; choose another --output");
    }
    boolean ours = Files.exists(run.resolve("source.json")) || isEmpty(run);
    if (!ours) {
      throw new PerformerException(
          run + ": exists and was not made by quickstart; choose another --output");
    }
    AtomicFiles.delete(run);
  }

  private static boolean isEmpty(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.findAny().isEmpty();
    }
  }
}
