package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.ExampleBatches;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.SequenceSource;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Opens a {@link Trainer} of a language model on sequences; the model's graph stays the caller's.
 */
public final class FineTuner {
  private FineTuner() {}

  /** What a model is trained on, and evaluated on. @param tokenizer of the model */
  public record Data(Tokenizer tokenizer, SequenceSource train, SequenceSource validation) {
    /** Data of single letters. */
    public Data(Vocabulary vocabulary, SequenceSource train, SequenceSource validation) {
      this(new LetterTokenizer(vocabulary), train, validation);
    }
  }

  /**
   * Opens a run.
   *
   * @param directory new or empty, or that of the run to go on with
   * @param resume whether to go on from its newest whole checkpoint
   * @throws PerformerException if directory, data or model will not do, or are not the same
   */
  public static Trainer open(
      LanguageModel model,
      Data data,
      FineTuneOptions options,
      Path directory,
      boolean resume,
      Progress progress) {
    model.check(data.tokenizer().vocabulary());
    for (var source : List.of(data.train(), data.validation())) {
      try (var stream = source.open()) {
        PerformerException.require(stream.hasNext(), "%s holds no sequence", source.name());
      }
    }
    LoopOptions loop = options.loop();
    var tokenizer = data.tokenizer();
    var batching = model.fit(options.batching());
    var trained = ExampleBatches.of(data.train(), tokenizer, batching, loop.seed());
    var opened = new AtomicReference<Trainer>();
    BatchSource train =
        TokenBatchSource.training(
            trained, options.objective(), loop.seed(), () -> opened.get().step());
    long seed = TokenBatchSource.EVALUATION_SEED;
    var held = ExampleBatches.of(data.validation(), tokenizer, batching.forEvaluation(), seed);
    BatchSource validation = TokenBatchSource.evaluation(held, options.objective());
    Trainable trainable = Trainable.of(model);
    var best = Validation.of(trainable, validation, loop.evaluationBatches());
    RunDirectory run = RunDirectory.open(directory, resume, options.settings(data), progress);
    opened.set(new Trainer(trainable, train, best, loop, run, progress));
    return opened.get().owning(train, validation);
  }
}
