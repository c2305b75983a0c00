package dev.performer.cli;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.data.BatchSize;
import dev.performer.data.SequenceSource;
import dev.performer.pipeline.FineTuneJob;
import dev.performer.pipeline.Job;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.SequenceBatching;
import dev.performer.savedmodel.Inspection;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "quickstart",
    description =
        "Inspect a Performer that Python made, evaluate it, fine-tune it on real proteins, export, reload and ask it.")
final class QuickstartCommand extends PerformerCommand {
  @Option(
      names = "--output",
      description = "Where everything goes, even over what is there (default: build/quickstart).")
  private Path folder;

  @Option(names = "--steps", description = "Optimizer steps.")
  private int steps = 120; // more hardly improve the perplexity; a minute on two cores

  @Override
  public Integer call() throws IOException {
    requireUsage(steps >= 1, "--steps must be at least 1, not %d", steps);
    long start = System.nanoTime();
    Path model = shipped("savedmodels/protein-mlm/saved_model");
    Path train = shipped("training/data/train.fasta.gz");
    Path valid = shipped("training/data/valid.fasta.gz");
    Path run = folder != null ? folder : home().resolve("build/quickstart");
    clear(run);
    print("1. A Performer that Python made: " + shown(model));
    text().print(InspectCommand.summary(Inspection.of(model)));

    var spec = Model.open(model).languageModel();
    spec.notes().forEach(System.err::println);
    FineTuneJob job =
        FineTuneJob.of(spec, SequenceSource.fasta(train), run)
            .validation(SequenceSource.fasta(valid))
            .batching(SequenceBatching.DEFAULT.withLength(256).withSize(new BatchSize.Tokens(8192)))
            .options(
                FineTuneOptions.LOOP
                    .with("steps=" + steps, "evaluateEvery=" + (steps + 3) / 4)
                    .with("learningRate=2e-3", "checkpointEvery=0"));
    print("%n2. Evaluated and fine-tuned in Java on %s, %d steps", shown(train), steps);
    Job.Outcome outcome = job.run(Progress.on(System.err));
    require(outcome.model().isPresent(), "quickstart was stopped; run it again, which starts anew");
    Path exported = outcome.model().get();
    double seconds = (System.nanoTime() - start) / 1e9;
    print(
        "\n3. Exported, and queried through the exported SavedModel: what is the hidden residue?");
    print(ask(exported, valid));
    Path plot = run.resolve("loss.png");
    print(table(outcome, seconds));
    print("The curve: " + shown(plot));
    print("The model: " + shown(exported) + "  (Python: tf.saved_model.load)");
    var json = new TrainCommand.Summary(outcome).json();
    json.put("maxOutputDifference", outcome.maxOutputDifference());
    json.put("seconds", seconds);
    json.put("plot", plot);
    return done(json);
  }

  /** Relative to the project where it is inside. */
  private static Path shown(Path path) {
    Path absolute = path.toAbsolutePath().normalize();
    return absolute.startsWith(home()) ? home().relativize(absolute) : path;
  }

  private static String table(Job.Outcome outcome, double seconds) {
    var before = outcome.result().before();
    var after = outcome.result().best();
    return format(
        """

        | validation      | before  | after   |
        |-----------------|---------|---------|
        | perplexity      | %7.3f | %7.3f |
        | accuracy        | %5.2f %% | %5.2f %% |

        Exported model against the trained graph: largest difference of an output %.1e.
        Whole run: %.0f s, %.0f tokens/s in training.
        """,
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
    String residues;
    try (var proteins = SequenceSource.fasta(fasta).open()) {
      residues = proteins.next().residues();
    }
    residues = residues.substring(0, Math.min(60, residues.length()));
    int hidden = residues.length() / 2;
    var text = new StringBuilder("   " + residues + "\n   ");
    text.setCharAt(3 + hidden, '?');
    try (Scorer scorer = Scorer.load(model)) {
      for (Scorer.Guess guess : scorer.guesses(residues, hidden, 5)) {
        text.append(format("%s %.1f %%   ", guess.token(), 100 * guess.probability()));
      }
    }
    return text + "(it was " + residues.charAt(hidden) + ")";
  }

  /** Removes what an earlier quickstart left; refuses anything else. */
  private static void clear(Path run) throws IOException {
    if (!Files.exists(run)) {
      return;
    }
    require(Files.isDirectory(run), "%s: is a file; choose another --output", run);
    try (var files = Files.newDirectoryStream(run)) {
      boolean isOurs = Files.exists(run.resolve("source.json")) || !files.iterator().hasNext();
      require(isOurs, "%s: exists and was not made by quickstart; choose another --output", run);
    }
    AtomicFiles.delete(run);
  }
}
