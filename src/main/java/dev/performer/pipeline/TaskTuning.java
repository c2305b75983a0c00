package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.HeldOut;
import dev.performer.data.StrictJson;
import dev.performer.graph.GraphCut;
import dev.performer.pipeline.TaskReader.Known;
import dev.performer.pipeline.TaskReader.Read;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SavedModelExporter;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TaskCard;
import dev.performer.training.BatchSource;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.ImportedLoss;
import dev.performer.training.ImportedTask;
import dev.performer.training.LabelledBatch;
import dev.performer.training.LoopOptions;
import dev.performer.training.LossGraph;
import dev.performer.training.LossTerm;
import dev.performer.training.ModelCards;
import dev.performer.training.Standardization;
import dev.performer.training.Trainable;
import dev.performer.training.Trainer;
import dev.performer.training.Validation;
import dev.performer.training.run.Progress;
import dev.performer.training.run.RunDirectory;
import dev.performer.training.run.TrainingResult;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;

/**
 * A model of any kind learns from labelled examples. With a new layer it is exported with that;
 * else the export is the same model with other weights.
 *
 * @param validation for evaluation only; where it is null, every 20th example is held out
 * @param evaluatedBy the signature that is evaluated and exported; null for the one that is trained
 */
record TaskTuning(
    Model model,
    FineTuneTask task,
    Path train,
    Path validation,
    SequenceBatching batching,
    String evaluatedBy)
    implements Tuning {
  @Override
  public String signature() {
    String given = model.options().signature();
    return given != null ? given : ImportedModel.DEFAULT_SIGNATURE;
  }

  @Override
  public String evaluated() {
    return evaluatedBy != null ? evaluatedBy : signature();
  }

  @Override
  public Started start(
      ImportedModel imported, LoopOptions loop, Path run, boolean resume, Progress progress) {
    SignatureSpec spec = imported.signatures().get(signature());
    TaskReader reader = new TaskReader(model, spec, task, batching);
    Read read = reader.read(train);
    HeldOut<LabelledExamples> parts =
        validation == null
            ? read.examples().heldOut()
            : new HeldOut<>(read.examples(), reader.read(validation, Known.of(read)).examples());
    LabelledBatch first = first(parts);
    TaskCard card = card(spec, read);
    var outputs =
        task.kind() != null
            ? List.of(card.output())
            : task.losses().stream().map(LossTerm::output).distinct().toList();
    for (String output : outputs) {
      boolean isNew = task.hasNewLayer();
      Tuning.requireTrainable(imported, model, spec.name(), output, isNew, progress);
    }
    Optional<ImportedTask> labelled = Optional.empty();
    Trainable trainable;
    if (task.kind() == null) {
      var loss = ImportedLoss.of(imported, spec.name(), task.losses(), first, loop.memory());
      String other = imported.inference(evaluated());
      trainable = (other.equals(spec.name()) ? loss : loss.evaluatedBy(other)).trainable();
      card = card.in(evaluated(), null, card.mask(), null);
    } else {
      labelled = Optional.of(labelled(imported, card, read, first, loop, progress));
      trainable = labelled.get().trainable();
    }
    card = labelled.map(ImportedTask::card).orElse(card);
    BatchSource learnt = parts.train().training(loop.seed());
    BatchSource held = parts.validation().evaluation();
    var settings = RunDirectory.Settings.of(settings(card, parts, loop));
    var directory = RunDirectory.open(run, resume, settings, progress);
    var best = Validation.of(trainable, held, loop.evaluationBatches());
    var trainer = new Trainer(trainable, learnt, best, loop, directory, progress);
    return new Running(
        trainer.owning(learnt, held), imported, read, parts.validation(), card, labelled, loop);
  }

  /** The first batch to evaluate on; nothing to train on is an error, too. */
  private LabelledBatch first(HeldOut<LabelledExamples> parts) {
    for (LabelledExamples part : List.of(parts.train(), parts.validation())) {
      try (BatchSource pass = part.evaluation()) {
        String text = "%s holds no example%s";
        boolean isOne = validation == null && part == parts.train();
        String more =
            isOne ? " besides the one that is held out; give more, or others for validation" : "";
        require(pass.hasNext(), text, part.name(), more);
      }
    }
    return parts.validation().first();
  }

  private ImportedTask labelled(
      ImportedModel imported,
      TaskCard card,
      Read read,
      LabelledBatch first,
      LoopOptions loop,
      Progress progress) {
    var options = new LossGraph.Options(loop.labelSmoothing(), loop.zLoss());
    if (!task.hasNewLayer()) {
      return evaluated(
          imported, ImportedTask.of(imported, card, Optional.empty(), options, loop.memory()));
    }
    List<Standardization> units = task.kind().hasNumbers() ? TaskReader.units(read) : List.of();
    TaskCard scaled =
        units.isEmpty()
            ? card
            : card.withScales(units.stream().map(Standardization::deviation).toList());
    var pad = read.input() == null ? null : read.input().tokenizer().vocabulary().pad();
    var head =
        new ImportedTask.Head(
            task.pooling(),
            ImportedTask.width(imported, card, first),
            pad == null || pad.isEmpty() ? null : pad.getAsInt(),
            units,
            loop.seed());
    var learnt = ImportedTask.of(imported, scaled, Optional.of(head), options, loop.memory());
    var labelled = evaluated(imported, learnt);
    var on = imported.signatures().get(card.signature()).output(card.output());
    progress.message("A new layer on the output " + on + " guesses " + named(read.classes()));
    // What cannot be cut out is found before anything is trained.
    new GraphCut(imported.graph(), labelled.inputs(), labelled.outputs(), labelled.variables());
    return labelled;
  }

  /** The task by the signature that is evaluated, whose inputs and output are found anew. */
  private ImportedTask evaluated(ImportedModel imported, ImportedTask trained) {
    String other = imported.inference(evaluated());
    TaskCard card = trained.card();
    if (other.equals(card.signature())) {
      return trained;
    } else if (evaluated().equals(card.signature())) {
      return trained.evaluatedBy(other, card);
    }
    SignatureSpec spec = imported.signatures().get(other);
    String tokens = card.tokens() == null ? null : ImportedLanguageModel.tokens(spec);
    String mask = ImportedLanguageModel.mask(spec, tokens);
    String known = spec.outputs().containsKey(card.output()) ? card.output() : null;
    String output =
        task.hasNewLayer()
            ? TaskOutputs.forLayer(spec, known, task.kind())
            : TaskOutputs.own(spec, known);
    return trained.evaluatedBy(other, card.in(evaluated(), tokens, mask, output));
  }

  private static String named(List<String> classes) {
    return classes.size() + (classes.size() > 10 ? "" : ": " + String.join(", ", classes));
  }

  /** What is learnt, as the model's card has it. */
  private TaskCard card(SignatureSpec spec, Read read) {
    TokenInput input = read.input();
    boolean isText = input != null;
    String output =
        task.kind() == null
            ? null
            : task.hasNewLayer()
                ? TaskOutputs.forLayer(spec, task.output(), task.kind())
                : TaskOutputs.own(spec, task.output());
    String mask = isText ? input.mask() : ImportedLanguageModel.mask(spec, null);
    return new TaskCard(
        task.kind(),
        spec.name(),
        isText ? input.tokens() : null,
        mask,
        output,
        task.isOfProbabilities() ? true : null,
        read.classes(),
        null,
        read.text(),
        read.labels(),
        task.separator(),
        task.kind() == null || isText ? null : List.of(task.black(), task.white()),
        task.kind() == null ? task.losses().stream().map(LossTerm::toString).toList() : null,
        isText && input.maxLength() > 0 ? input.maxLength() : null,
        isText && input.paddedLength() > 0 ? input.paddedLength() : null);
  }

  private ObjectNode settings(TaskCard card, HeldOut<LabelledExamples> parts, LoopOptions loop) {
    ObjectNode json = JsonNodeFactory.instance.objectNode().put("format", 2);
    json.set("task", StrictJson.tree(card));
    json.put("newLayer", task.hasNewLayer()).put("pooling", task.pooling().name());
    ObjectNode batches = json.putObject("batching");
    batches.put("size", batching.size() + "").put("length", batching.length());
    batches.put("end", batching.end()).put("crop", batching.crop() + "");
    json.set("training", loop.toJson());
    json.putObject("data")
        .put("train", parts.train().name())
        .put("validation", parts.validation().name());
    return json;
  }

  private final class Running implements Started {
    private final Trainer trainer;
    private final ImportedModel imported;
    private final Read read;
    private final LabelledExamples held;
    private final TaskCard card;
    private final Optional<ImportedTask> labelled;
    private final LoopOptions loop;

    Running(
        Trainer trainer,
        ImportedModel imported,
        Read read,
        LabelledExamples held,
        TaskCard card,
        Optional<ImportedTask> labelled,
        LoopOptions loop) {
      this.trainer = trainer;
      this.imported = imported;
      this.read = read;
      this.held = held;
      this.card = card;
      this.labelled = labelled;
      this.loop = loop;
    }

    @Override
    public Trainer trainer() {
      return trainer;
    }

    @Override
    public double export(TrainingResult result, Path target) {
      boolean isNew = labelled.isPresent() && labelled.get().hasHead();
      if (!isNew) {
        var variables = imported.variables();
        Job.export(model.path(), card(result, card), trainer.session(), variables, target);
      } else {
        ImportedTask made = labelled.get();
        String name = ImportedModel.DEFAULT_SIGNATURE;
        SavedModelExporter.builder()
            .variables(made.variables())
            .signature(name, made.inputs(), made.outputs())
            .card(card(result, card.of(name, made.guessed())))
            .replaceExisting()
            .export(trainer.session(), target);
      }
      String signature = isNew ? ImportedModel.DEFAULT_SIGNATURE : card.signature();
      LabelledBatch batch =
          ImportedTask.fitted(imported, imported.inference(evaluated()), held.first());
      SignatureSpec called = SavedModelDirectory.open(target).signature(signature);
      var feeds = new LinkedHashMap<>(held.feeds(batch, called, card));
      feeds.keySet().retainAll(called.inputs().keySet());
      double largest = Double.NaN;
      for (String output : labelled.isPresent() ? List.of(guessed(isNew)) : lost()) {
        float[] trained =
            labelled.isPresent()
                ? labelled.get().output(trainer.session(), batch, output)
                : ImportedLoss.output(
                    imported, imported.inference(evaluated()), trainer.session(), batch, output);
        double own = Job.difference(target, signature, feeds, output, trained);
        largest = Double.isNaN(largest) ? own : Math.max(largest, own);
      }
      return largest;
    }

    private String guessed(boolean isNew) {
      return isNew ? labelled.get().guessed() : card.output();
    }

    /** The outputs of the losses. */
    private List<String> lost() {
      return task.losses().stream().map(LossTerm::output).distinct().toList();
    }

    private ModelCard card(TrainingResult result, TaskCard guessed) {
      Optional<ModelCard> old = model.card();
      var provenance =
          ModelCards.provenance(
              model.path() + "",
              read.examples().name(),
              loop.seed(),
              result.bestStep(),
              result.before(),
              result.best());
      boolean isSame = !task.hasNewLayer();
      var words =
          read.input() != null
              ? ModelCards.vocabulary(read.input().tokenizer())
              : old.map(ModelCard::vocabulary).orElse(null);
      return ModelCard.of(
              old.map(ModelCard::attention).orElse(null),
              words,
              isSame ? old.map(ModelCard::languageModel).orElse(null) : null,
              provenance)
          .withConfig(isSame ? old.map(ModelCard::config).orElse(null) : null)
          .withData(isSame ? old.map(ModelCard::data).orElse(null) : null)
          .withTask(guessed);
    }
  }
}
