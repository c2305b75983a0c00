package dev.performer.cli;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.NpyArray;
import dev.performer.data.ProteinSequence;
import dev.performer.data.SequenceSource;
import dev.performer.data.SequenceStream;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.training.Objective;
import dev.performer.training.TrainingConfig;
import dev.performer.training.TrainingData;
import dev.performer.training.optim.LearningRateSchedule;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
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

    LanguageModelOptions options = LanguageModelOptions.defaults();
    LanguageModelOptions.Resolved resolved = options.resolve(model);
    Objective objective = options.objective(resolved.tensors(), resolved.vocabulary());
    TrainingData data =
        new TrainingData(
            resolved.tokenizer(), SequenceSource.fasta(train), SequenceSource.fasta(valid));
    TrainingConfig config =
        TrainingConfig.builder()
            .objective(objective)
            .batching(Batching.training(LENGTH, BATCH_TOKENS).withEnds(false, true))
            .schedule(new LearningRateSchedule.Linear(LEARNING_RATE, WARMUP, 0))
            .steps(steps)
            .evaluateEvery(Math.max(1, (steps + 3) / 4))
            .checkpointEvery(0)
            .build();
    out.printf(
        "%n2. Evaluated and fine-tuned in Java on %s, %d steps%n",
        Project.home().relativize(train), steps);
    FineTuning.Outcome outcome =
        new FineTuning(resolved, data, config, RunOptions.of(run), Optional.empty())
            .run(Progress.on(System.err));

    Path exported =
        outcome
            .model()
            .orElseThrow(
                () ->
                    new PerformerException(
                        "quickstart was stopped; run it again, which starts anew"));
    double seconds = (System.nanoTime() - start) / 1e9;
    out.printf(
        "%n3. Exported, and asked through the exported SavedModel: what is the hidden residue?%n");
    out.println(ask(exported, resolved.tensors(), resolved.vocabulary(), valid));

    out.println(table(outcome, seconds));
    out.println("The curve: " + shown(run.resolve("loss.png")));
    out.println("The model: " + shown(exported) + "  (Python: tf.saved_model.load)");
    Map<String, Object> json = new LinkedHashMap<>(outcome.json());
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

  private static String table(FineTuning.Outcome outcome, double seconds) {
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
  private static String ask(
      Path model, ModelCard.LanguageModel tensors, Vocabulary vocabulary, Path fasta) {
    ProteinSequence protein;
    try (SequenceStream stream = SequenceSource.fasta(fasta).open()) {
      protein = stream.next();
    }
    String residues = protein.residues().substring(0, Math.min(60, protein.residues().length()));
    int hidden = residues.length() / 2;
    int[] ids =
        IntStream.range(0, residues.length())
            .map(i -> vocabulary.tokens().indexOf(residues.substring(i, i + 1)))
            .toArray();
    ids[hidden] = vocabulary.mask().orElseThrow();
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      Map<String, NpyArray> answer =
          predictor.predict(
              tensors.signature(), Map.of(tensors.tokens(), NpyArray.of(ids, 1, ids.length)));
      NpyArray logits = answer.get(tensors.logits());
      int size = (int) logits.shape()[2];
      float[] all = logits.floats();
      double[] p = softmax(all, hidden * size, size);
      List<Integer> order = new ArrayList<>(IntStream.range(0, size).boxed().toList());
      order.sort(Comparator.comparingDouble(i -> -p[i]));
      StringBuilder text = new StringBuilder();
      text.append("   ")
          .append(residues, 0, hidden)
          .append('?')
          .append(residues.substring(hidden + 1))
          .append("\n   ");
      for (int rank = 0; rank < 5; rank++) {
        int id = order.get(rank);
        text.append(
            String.format(Locale.ROOT, "%s %.1f %%   ", vocabulary.tokens().get(id), 100 * p[id]));
      }
      return text.append("(it was ").append(residues.charAt(hidden)).append(')').toString();
    }
  }

  private static double[] softmax(float[] logits, int from, int size) {
    double max = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < size; i++) {
      max = Math.max(max, logits[from + i]);
    }
    double sum = 0;
    double[] p = new double[size];
    for (int i = 0; i < size; i++) {
      p[i] = Math.exp(logits[from + i] - max);
      sum += p[i];
    }
    for (int i = 0; i < size; i++) {
      p[i] /= sum;
    }
    return p;
  }

  /** Removes what an earlier quickstart left; refuses anything else. */
  private static void clear(Path run) throws IOException {
    if (!Files.exists(run)) {
      return;
    }
    if (!Files.isDirectory(run)) {
      throw new PerformerException(run + ": is a file; choose another --output");
    }
    boolean ours = Files.exists(run.resolve(FineTuning.SOURCE)) || isEmpty(run);
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
