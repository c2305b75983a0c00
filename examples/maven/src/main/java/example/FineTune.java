package example;

import dev.performer.data.ProteinSequence;
import dev.performer.data.SequenceSource;
import dev.performer.pipeline.FineTuneJob;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.SequenceBatching;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.run.Progress;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A model goes on learning from sequences that a program has itself. */
public final class FineTune {
  private FineTune() {}

  public static void main(String[] args) {
    List<ProteinSequence> own = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      own.add(new ProteinSequence("repeat" + i, "", "MKTAYIAKQR".repeat(2 + i % 3)));
    }
    var job =
        FineTuneJob.of(Model.open(Path.of(args[0])), SequenceSource.of(own), Path.of(args[1]))
            .batching(SequenceBatching.DEFAULT.withLength(32))
            .options(FineTuneOptions.LOOP.toBuilder().steps(10).learningRate(1e-3).evaluateEvery(5).build());
    var outcome = job.run(Progress.lines(System.out));
    System.out.printf("perplexity %.2f -> %.2f%n", outcome.result().before().perplexity(), outcome.result().best().perplexity());
    System.out.println("model " + outcome.model().orElseThrow());
  }
}
