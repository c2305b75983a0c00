package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.graph.SaveRestore;
import dev.performer.pipeline.ModelLocation.RunSource;
import dev.performer.recipe.RecipeTraining;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.Lora;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.OutputDirectory;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SampleInputs;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.ServingForm;
import dev.performer.savedmodel.ServingGraph;
import dev.performer.savedmodel.WeightReplacement;
import dev.performer.savedmodel.protos.WarmUp;
import dev.performer.training.ModelTraining;
import dev.performer.training.run.RunDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/**
 * Writes SavedModels for serving; where no form is given, all signatures and Python's objects stay
 * as they were. Each has a model card, {@code README.md}, of what is known about it.
 *
 * <pre>{@code
 * Exporter.to(Path.of("served")).replacing(true).export(Path.of("runs/family"), "best");
 * Exporter.to(Path.of("models/family")).version(3).in(ServingForm.AS_IS.freezing(true))
 *     .export(Path.of("runs/family"), "best"); // models/family/3, frozen, with warm-up requests
 * }</pre>
 *
 * @param target the directory of the SavedModel; with a version, the one that holds versions
 * @param replace whether a SavedModel that is there is replaced; a version never is
 * @param version the number of the directory in {@code target}, as TensorFlow Serving has them;
 *     null for none
 * @param warmup whether requests are written that TensorFlow Serving runs when it loads the model;
 *     null for those with a version
 * @param generating whether it must have the signature {@code generate}
 * @param form what changes in the graph
 */
public record Exporter(
    Path target,
    boolean replace,
    Long version,
    Boolean warmup,
    boolean generating,
    ServingForm form) {
  /**
   * What was written.
   *
   * @param model the SavedModel
   * @param weights the checkpoint or the model whose weights it has
   * @param notes what has to be known about it, one line each
   */
  public record Exported(Path model, Path weights, List<String> notes) {}

  public Exporter {
    require(version == null || version >= 0, "a version is 0 or above, not %s", version);
    boolean isSound = version == null || !replace;
    require(isSound, "a version that may be served is not replaced; take another number");
  }

  /** Writes to a new directory. */
  public static Exporter to(Path target) {
    return new Exporter(target, false, null, null, false, ServingForm.AS_IS);
  }

  /** The same, replacing what is there or not. */
  public Exporter replacing(boolean value) {
    return new Exporter(target, value, version, warmup, generating, form);
  }

  /** The same as a version of the target; null for none. */
  public Exporter version(Long number) {
    return new Exporter(target, replace, number, warmup, generating, form);
  }

  /** The same with warm-up requests or without; null for those with a version. */
  public Exporter warmup(Boolean value) {
    return new Exporter(target, replace, version, value, generating, form);
  }

  /**
   * The same, insisting on the signature {@code generate} or not: a model that was built here by an
   * older version gets it.
   */
  public Exporter generating(boolean value) {
    return new Exporter(target, replace, version, warmup, value, form);
  }

  /** The same in another form. */
  public Exporter in(ServingForm other) {
    return new Exporter(target, replace, version, warmup, generating, other);
  }

  /**
   * Writes the weights of a run's checkpoint, or a model. A reader of the target's parent finds the
   * whole model or none.
   *
   * @param source a run directory, also of a run that was stopped, or a SavedModel
   * @param checkpoint of a run: {@code best}, {@code last} or {@code step-N}
   * @throws PerformerException if there is none such, it cannot have the form, or the target cannot
   *     be written
   */
  public Exported export(Path source, String checkpoint) {
    Path place = place();
    OutputDirectory.requireFree(place, replace);
    boolean isRun = ModelLocation.isRun(source);
    Path weights = isRun ? checkpoint(source, checkpoint) : ModelLocation.savedModel(source);
    List<String> notes = new ArrayList<>();
    boolean hadBase = version == null || Files.exists(target);
    try {
      OutputDirectory.write(
          place, replace, null, staging -> build(source, weights, place, staging, notes));
    } finally {
      if (!hadBase) {
        removeEmpty(target);
      }
    }
    return new Exported(place, weights, List.copyOf(notes));
  }

  /**
   * Converts a SavedModel in this form to another format; the target only says where its parts are
   * written meanwhile.
   *
   * @param source as of {@link #export}
   * @return what has to be known about the file, one line each
   * @throws PerformerException as of {@link #export}, or with the converter's own reason
   */
  public List<String> convert(Path source, String checkpoint, PythonConverter converter) {
    converter.requireReady();
    if (form.isAsItIs() && !generating && !ModelLocation.isRun(source)) {
      return converter.convert(ModelLocation.savedModel(source));
    }
    Path scratch = AtomicFiles.beside(target.toAbsolutePath().normalize(), "model");
    try {
      List<String> notes = new ArrayList<>();
      inTermsOf(
          source,
          scratch,
          () -> {
            var one = form.isAsItIs() ? form : form.keeping(List.of(converter.signature()));
            Exporter whole = to(scratch).generating(generating).in(one);
            notes.addAll(whole.export(source, checkpoint).notes());
            notes.addAll(converter.convert(scratch));
          });
      return notes;
    } finally {
      AtomicFiles.discard(scratch);
    }
  }

  /** Users know the source and the target, not what lies between them for a while. */
  private static void inTermsOf(Path known, Path scratch, Runnable work) {
    try {
      work.run();
    } catch (PerformerException e) {
      String message = e.getMessage().replace(scratch.toString(), known.toString());
      throw message.equals(e.getMessage()) ? e : new PerformerException(message, e);
    }
  }

  /** Where the SavedModel goes. @throws PerformerException if that number is taken */
  private Path place() {
    if (version == null) {
      return target;
    }
    Path place = target.resolve(Long.toString(version));
    boolean isBase = !Files.exists(target.resolve("saved_model.pb"));
    require(
        isBase, "%s is a SavedModel; versions need a directory that holds nothing else", target);
    String text =
        "%s exists; a version is never replaced, as it may be served: take another number";
    if (Files.exists(place)) {
      throw new PerformerException(text.formatted(place)).settledBy("version");
    }
    return place;
  }

  private static void removeEmpty(Path base) {
    try (var files = Files.list(base)) {
      if (files.findAny().isEmpty()) {
        Files.delete(base);
      }
    } catch (IOException e) {
      // It was never made, or the error that counts is on its way.
    }
  }

  private void build(Path source, Path weights, Path place, Path staging, List<String> notes)
      throws IOException {
    long parameters;
    if (form.isAsItIs()) {
      write(source, weights, staging);
      parameters = ModelReadme.parameters(SavedModelDirectory.open(staging));
    } else {
      Path whole = AtomicFiles.createDirectoryBeside(place);
      try {
        inTermsOf(place, whole, () -> write(source, weights, whole));
        var original = SavedModelDirectory.open(whole);
        parameters = ModelReadme.parameters(original);
        inTermsOf(source, whole, () -> notes.addAll(ServingGraph.export(original, form, staging)));
      } finally {
        AtomicFiles.discard(whole);
      }
    }
    SavedModelDirectory model = SavedModelDirectory.open(staging);
    String name =
        (version == null ? place : target).toAbsolutePath().normalize().getFileName() + "";
    ModelReadme.write(model, name, form, parameters);
    if (warmup == null ? version != null : warmup) {
      SampleInputs found = SampleInputs.of(model);
      List<WarmUp.Call> calls = new ArrayList<>();
      found.samples().forEach((signature, inputs) -> calls.add(new WarmUp.Call(signature, inputs)));
      WarmUp.write(model, name, calls);
      for (String failure : found.failures()) {
        notes.add("no warm-up request: " + failure.replace(staging.toString(), place.toString()));
      }
    }
  }

  private void write(Path source, Path weights, Path staging) {
    writeWhole(source, weights, staging);
    var model = SavedModelDirectory.open(staging);
    if (!generating || model.signatures().containsKey(PerformerSignatures.GENERATE)) {
      return;
    }
    String text =
        "%s has no signature %s and cannot get one: it is no causal model that was built here, or some of its attention runs in parallel only";
    boolean isOurs = PerformerModels.config(staging).isPresent();
    if (isOurs) {
      PerformerModels.Saved saved = PerformerModels.load(staging);
      PerformerModels.write(saved.config(), saved.weights(), saved.card(), staging, true);
      model = SavedModelDirectory.open(staging);
    }
    boolean isThere = model.signatures().containsKey(PerformerSignatures.GENERATE);
    require(isThere, text, source, PerformerSignatures.GENERATE);
  }

  private static void writeWhole(Path source, Path weights, Path staging) {
    if (RecipeTraining.isRun(source)) {
      RecipeTraining.export(source, weights, staging, false);
    } else if (ModelLocation.isRun(source)) {
      exportRun(source, weights.resolve("variables"), staging);
    } else {
      exportModel(weights, staging);
    }
  }

  private static void exportModel(Path model, Path target) {
    var directory = SavedModelDirectory.open(model);
    // Any signature will do: what it does not use is kept bit for bit.
    var names = directory.signatures().keySet();
    String usual = ImportedModel.DEFAULT_SIGNATURE;
    String signature = names.isEmpty() || names.contains(usual) ? usual : names.iterator().next();
    var card = ModelCard.read(directory.path());
    write(directory, signature, Optional.empty(), Optional.empty(), card, target);
  }

  private static void exportRun(Path run, Path weights, Path target) {
    require(
        Files.exists(run.resolve(RunSource.FILE)),
        "%s: trains on sequences of a program, which alone knows what their tokens mean; resume it there, its end writes a model",
        run);
    RunSource from = RunSource.read(run);
    Path original = Path.of(from.model());
    // The run's own card, which knows what was trained, goes before that of the original.
    Path finished = run.resolve(ModelTraining.MODEL);
    boolean isFinished = Files.exists(finished.resolve(ModelCard.FILE));
    var card = ModelCard.read(isFinished ? finished : original);
    Path config = run.resolve(RunDirectory.CONFIG);
    var adaptation =
        Optional.of(StrictJson.readTree(config).at("/training/lora"))
            .filter(JsonNode::isObject)
            .map(lora -> StrictJson.bind(lora, Lora.class, config.toString()))
            .map(lora -> new Lora.Adaptation(lora, List.of(), 0));
    var model = SavedModelDirectory.open(original);
    write(model, from.signature(), adaptation, Optional.of(weights), card, target);
  }

  private static void write(
      SavedModelDirectory original,
      String signature,
      Optional<Lora.Adaptation> adaptation,
      Optional<Path> weights,
      Optional<ModelCard> card,
      Path target) {
    try (var model = ImportedModel.load(original, List.of(signature), adaptation);
        var session = new Session(model.graph(), false)) {
      model.restore(session);
      Ops tf = Ops.create(model.graph());
      weights.ifPresent(at -> SaveRestore.of(tf, model.variables()).restore(session, at));
      model.merge(session);
      WeightReplacement replacement = WeightReplacement.of(original.path());
      card.ifPresent(replacement::card);
      replacement.export(session, model.variables(), target);
    }
  }

  private static Path checkpoint(Path run, String name) {
    String step = name;
    if (name.equals("best") || name.equals("last")) {
      Path pointer = run.resolve(name);
      try {
        step = Files.readString(pointer).strip();
      } catch (IOException e) {
        String text = "%s: cannot be read; the run has no checkpoint yet";
        throw new PerformerException(text.formatted(pointer), e);
      }
    }
    Path folder = run.resolve("checkpoints").resolve(step);
    if (!Files.isDirectory(folder)) {
      String text = "%s: no such checkpoint; choose the checkpoint best, last or step-N";
      throw new PerformerException(text.formatted(folder)).settledBy("checkpoint");
    }
    return folder;
  }
}
