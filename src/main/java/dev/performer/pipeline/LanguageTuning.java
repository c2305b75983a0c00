package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.Batching;
import dev.performer.data.ExampleBatches;
import dev.performer.data.HeldOut;
import dev.performer.data.SequenceSource;
import dev.performer.data.TokenBatch;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.FineTuneOptions;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.LanguageModel;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelCards;
import dev.performer.training.Trainer;
import dev.performer.training.run.Progress;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A language model goes on to guess tokens of sequences; its export is the same model with other
 * weights.
 *
 * @param evaluation how the model is used in evaluation, and by what its export records
 * @param validation for evaluation only; where it is null, every 20th sequence is held out
 */
record LanguageTuning(
    LanguageModelSpec spec,
    LanguageModelSpec evaluation,
    SequenceSource train,
    SequenceSource validation,
    SequenceBatching batching)
    implements Tuning {
  @Override
  public Model model() {
    return spec.model();
  }

  @Override
  public String signature() {
    return spec.tensors().signature();
  }

  @Override
  public String evaluated() {
    return evaluation.tensors().signature();
  }

  @Override
  public Started start(
      ImportedModel imported, LoopOptions loop, Path run, boolean resume, Progress progress) {
    FineTuneOptions.Data data = data();
    var options = new FineTuneOptions(spec.objective(), batching.of(spec), loop);
    var read = ImportedLanguageModel.of(imported, spec.tensors());
    Tuning.requireTrainable(
        imported, model(), signature(), spec.tensors().logits(), false, progress);
    var language = read.withVariables(imported.variables()); // some may be frozen now
    var evaluated = ImportedLanguageModel.of(imported, evaluation.inference(imported));
    var config = PerformerModels.config(model().path());
    var trainable =
        ImportedLanguageModel.trainable(imported, spec.tensors(), evaluated, config, loop);
    var trainer = options.open(trainable, language, evaluated, data, run, resume, progress);
    return new Running(trainer, imported, evaluated, data, options);
  }

  private FineTuneOptions.Data data() {
    if (validation != null) {
      return new FineTuneOptions.Data(spec.tokenizer(), train, validation);
    }
    var split = HeldOut.of(train);
    try (var training = split.train().open()) {
      if (!training.hasNext()) {
        String text = "%s: one sequence cannot be split; give other ones for validation";
        throw new PerformerException(text.formatted(train.name())).settledBy("validation");
      }
    }
    return new FineTuneOptions.Data(spec.tokenizer(), split.train(), split.validation());
  }

  private final class Running implements Started {
    private final Trainer trainer;
    private final ImportedModel imported;
    private final LanguageModel language;
    private final FineTuneOptions.Data data;
    private final FineTuneOptions options;

    Running(
        Trainer trainer,
        ImportedModel imported,
        LanguageModel language,
        FineTuneOptions.Data data,
        FineTuneOptions options) {
      this.trainer = trainer;
      this.imported = imported;
      this.language = language;
      this.data = data;
      this.options = options;
    }

    @Override
    public Trainer trainer() {
      return trainer;
    }

    @Override
    public double export(TrainingResult result, Path target) {
      var variables = imported.variables();
      Job.export(model().path(), card(result), trainer.session(), variables, target);
      TokenBatch batch = batch(language.fit(options.batching()).forEvaluation());
      float[] trained = language.logits(trainer.session(), batch);
      String logits = evaluation.tensors().logits();
      return Job.difference(target, evaluation.input(), batch, logits, trained);
    }

    private ModelCard card(TrainingResult result) {
      Optional<ModelCard> old = model().card();
      String from = model().path().toString();
      String on = data.train().name();
      var provenance =
          ModelCards.provenance(
              from, on, options.loop().seed(), result.bestStep(), result.before(), result.best());
      var attention = old.map(ModelCard::attention).orElse(null);
      return ModelCard.of(attention, spec.cardVocabulary(), tensors(), provenance)
          .withConfig(old.map(ModelCard::config).orElse(null))
          .withEmbedding(old.map(ModelCard::embedding).orElse(null))
          .withChatTemplate(old.map(ModelCard::chatTemplate).orElse(null))
          .withData(old.map(ModelCard::data).orElse(null));
    }

    /** As the export is used; whether it learnt to end a sequence goes along. */
    private ModelCard.LanguageModel tensors() {
      boolean learntEnd = batching.end() || spec.tokenizer().ends().isEmpty();
      return evaluation.tensors().withEnd(learntEnd);
    }

    private TokenBatch batch(Batching batching) {
      var batches = ExampleBatches.of(data.validation(), data.tokenizer(), batching, 0);
      try (var stream = batches.epoch(0)) {
        return stream.next();
      }
    }
  }
}
