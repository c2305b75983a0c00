package dev.performer.cli;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.NpyArray;
import dev.performer.data.SequenceSource;
import dev.performer.data.StrictJson;
import dev.performer.pipeline.FineTuneJob;
import dev.performer.pipeline.Job;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Predictor;
import dev.performer.pipeline.Scorer;
import dev.performer.pipeline.SequenceBatching;
import dev.performer.savedmodel.Inspection;
import dev.performer.server.PerformerServer;
import dev.performer.server.ServerOptions;
import dev.performer.server.http.HttpOptions;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.run.Progress;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "quickstart",
    description =
        "Inspect a Performer that Python made, evaluate it, fine-tune it on real proteins, export, reload and ask it, also over HTTP.")
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
    print(
        "\n3. Exported, and queried through the exported SavedModel: what is the hidden residue?");
    print(ask(exported, valid));
    print("\n4. Served, and queried over HTTP: TensorFlow Serving's REST API");
    double difference = query(exported, valid);
    double seconds = (System.nanoTime() - start) / 1e9;
    Path plot = run.resolve("loss.png");
    print(table(outcome, seconds));
    print("The curve: " + shown(plot));
    print("The model: " + shown(exported) + "  (Python: tf.saved_model.load)");
    var json = new TrainCommand.Summary(outcome).json();
    json.put("maxOutputDifference", outcome.maxOutputDifference());
    json.put("maxServedDifference", difference);
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
    String residues = residues(fasta);
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

  private static String residues(Path fasta) {
    try (var proteins = SequenceSource.fasta(fasta).open()) {
      String residues = proteins.next().residues();
      return residues.substring(0, Math.min(60, residues.length()));
    }
  }

  /** Largest difference of a served logit from the model's own. */
  private double query(Path model, Path fasta) throws IOException {
    var options = ServerOptions.DEFAULT.withModels("protein=" + model).withGrpcPort(null);
    try (var server = PerformerServer.start(options.withHttp(HttpOptions.DEFAULT.withPort(0)));
        Predictor predictor = Predictor.load(model)) {
      server.awaitLoaded();
      int[] ids = predictor.model().input().encode(List.of(residues(fasta))).ids().get(0);
      var address = "http://127.0.0.1:%d/v1/models/protein:predict".formatted(server.port());
      var body = StrictJson.tree(Map.of("instances", List.of(ids))).toString();
      var request = HttpRequest.newBuilder(URI.create(address)).POST(BodyPublishers.ofString(body));
      byte[] answer =
          HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofByteArray()).body();
      JsonNode logits = StrictJson.readTree(answer, address).at("/predictions/0"); // [L, V]
      var own = predictor.predict(Map.of("tokens", NpyArray.of(ids, 1, ids.length))).get("logits");
      float[] expected = own.floats();
      int width = expected.length / ids.length;
      double largest = 0;
      for (int i = 0; i < expected.length; i++) {
        double served = logits.path(i / width).path(i % width).asDouble(Double.NaN);
        largest = Math.max(largest, Math.abs(served - expected[i]));
      }
      String text = "   POST %s: %d × %d logits, largest difference %.1e";
      print(format(text, address, logits.size(), logits.path(0).size(), largest));
      return largest;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new PerformerException("interrupted", e);
    }
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
