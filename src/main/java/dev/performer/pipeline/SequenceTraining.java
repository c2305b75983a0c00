package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.ExampleBatches;
import dev.performer.data.HeldOut;
import dev.performer.data.Masking;
import dev.performer.data.NpyArray;
import dev.performer.data.SequenceSource;
import dev.performer.data.StrictJson;
import dev.performer.data.Tokenizer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.LoopOptions;
import dev.performer.training.ModelCards;
import dev.performer.training.ModelTraining;
import dev.performer.training.Objective;
import dev.performer.training.Standardization;
import dev.performer.training.Trainable;
import dev.performer.training.run.Evaluation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory.Settings;
import java.util.Map;
import java.util.function.BooleanSupplier;

/**
 * The training of a new language model on a program's own sequences.
 *
 * @param model how it is built: task causal-lm or masked-lm
 * @param train what it learns from, read again and again
 * @param validation for evaluation only; null to hold out every 20th sequence
 * @param batching how sequences become batches
 * @param masking which tokens a masked model guesses
 * @param loop how it is trained; its batch is that of {@code batching}
 */
public record SequenceTraining(
    PerformerConfig model,
    Tokenizer tokenizer,
    SequenceSource train,
    SequenceSource validation,
    SequenceBatching batching,
    Masking masking,
    LoopOptions loop) {
  /** Checks. @throws PerformerException if the task or the tokenizer will not do */
  public SequenceTraining {
    boolean isMasked = model.task() == Task.MASKED_LM;
    require(
        isMasked || model.task() == Task.CAUSAL_LM,
        "sequences alone train the tasks causal-lm and masked-lm; a recipe trains others");
    String name = tokenizer.label();
    int size = tokenizer.size();
    int own = model.vocabularySize();
    require(size <= own, "the tokenizer %s has %d tokens, but the model only %d", name, size, own);
    boolean canMask = !isMasked || tokenizer.vocabulary().mask().isPresent();
    require(canMask, "the tokenizer %s has no mask token, which masked-lm needs", name);
    if (!isMasked) {
      model.requireCausal();
    }
    loop = loop.toBuilder().batch(batching.size()).build();
  }

  /** With what is not given as its default: masks as BERT's, and {@link LoopOptions#DEFAULT}. */
  public static SequenceTraining of(
      PerformerConfig model, Tokenizer tokenizer, SequenceSource train) {
    return new SequenceTraining(
        model, tokenizer, train, null, SequenceBatching.DEFAULT, Masking.BERT, LoopOptions.DEFAULT);
  }

  /** The same, evaluated on other sequences. */
  public SequenceTraining withValidation(SequenceSource other) {
    return new SequenceTraining(model, tokenizer, train, other, batching, masking, loop);
  }

  /** The same in other batches. */
  public SequenceTraining withBatching(SequenceBatching other) {
    return new SequenceTraining(model, tokenizer, train, validation, other, masking, loop);
  }

  /** The same with other tokens to guess. */
  public SequenceTraining withMasking(Masking other) {
    return new SequenceTraining(model, tokenizer, train, validation, batching, other, loop);
  }

  /** The same with another loop. */
  public SequenceTraining withLoop(LoopOptions other) {
    return new SequenceTraining(model, tokenizer, train, validation, batching, masking, other);
  }

  ModelTraining.Outcome run(
      ModelTraining.Place place,
      Map<String, NpyArray> start,
      BooleanSupplier stop,
      Progress progress) {
    var objective =
        isMasked()
            ? new Objective.MaskedLanguageModel(masking)
            : new Objective.CausalLanguageModel(model.shiftBos() != null);
    var settings = Settings.of(settings());
    return new ModelTraining(model, objective, loop, Trainable::measures, Standardization.NONE)
        .run(place, settings, data(), start, this::card, stop, progress);
  }

  private boolean isMasked() {
    return model.task() == Task.MASKED_LM;
  }

  private ModelTraining.Data data() {
    var split = validation == null ? HeldOut.of(train) : new HeldOut<>(train, validation);
    Integer longest = PerformerModels.longest(model);
    Integer padded = PerformerModels.paddedLength(model);
    var batches = batching.of("the model", tokenizer, longest, padded);
    return new ModelTraining.Data(
        ExampleBatches.of(split.train(), tokenizer, batches, loop.seed()),
        ExampleBatches.of(split.validation(), tokenizer, batches.forEvaluation(), loop.seed()));
  }

  private ModelCard card(Evaluation before, Evaluation after, long step) {
    var language =
        PerformerModels.languageModel(model, isMasked() ? ModelCards.masking(masking) : null);
    return ModelCard.of(
        model.attentionOf(0),
        ModelCards.vocabulary(tokenizer),
        language.withEnd(batching.end()),
        ModelCards.provenance(null, train.name(), loop.seed(), step, before, after));
  }

  /** All that the rest of a run must have in common with its beginning. */
  private ObjectNode settings() {
    ObjectNode settings = JsonNodeFactory.instance.objectNode().put("format", 1);
    ObjectNode data = settings.putObject("data").put("train", train.name());
    data.put("tokenizer", tokenizer.label()).put("length", batching.length());
    data.put("end", batching.end());
    settings.set("model", model.toJson());
    settings.set("masking", StrictJson.tree(masking));
    settings.set("training", loop.toJson());
    return settings;
  }
}
