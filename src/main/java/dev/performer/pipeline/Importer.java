package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.checkpoint.ModelWeights;
import dev.performer.checkpoint.NamingScheme.UnknownAttentionException;
import dev.performer.checkpoint.SentenceTransformers;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.NpyArray;
import dev.performer.data.Tokenizer;
import dev.performer.model.FavorConversion;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.OutputDirectory;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.training.ImportedWeights;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Supplier;

/**
 * Turns a checkpoint of another program into a model that everything else here takes, with its
 * provenance: Flax msgpack, TensorFlow checkpoints, Keras, safetensors and npz.
 *
 * @param path the checkpoint: file, directory or prefix
 * @param options what the checkpoint does not say
 * @param conversion turns exact attention into FAVOR+ on the way, or makes the table of positions
 *     longer; empty to keep all
 * @param tokenizer what token ids mean; empty for what the checkpoint or a file beside it records
 */
public record Importer(
    Path path,
    ImportOptions options,
    Optional<Converter> conversion,
    Optional<Tokenizer> tokenizer) {
  /** What failures name that come from {@link #conversion}. */
  public static final String CONVERSION = "conversion";

  /** All as the checkpoint has it. */
  public static Importer of(Path path) {
    return new Importer(path, ImportOptions.NONE, Optional.empty(), Optional.empty());
  }

  /** The same with what the checkpoint does not say. */
  public Importer with(ImportOptions other) {
    return new Importer(path, other, conversion, tokenizer);
  }

  /** The same, with exact attention turned into FAVOR+. */
  public Importer converting(FavorConversion to) {
    return converting(new Converter(to));
  }

  /** The same, with attention or positions converted. */
  public Importer converting(Converter to) {
    return new Importer(path, options, Optional.of(to), tokenizer);
  }

  /** The same with a tokenizer. */
  public Importer with(Tokenizer other) {
    return new Importer(path, options, conversion, Optional.of(other));
  }

  /**
   * The SavedModel that was written; whose names the checkpoint's tensors had; how many variables,
   * and numbers in them; what was assumed, one line each; names of weights that hold NaN or
   * infinity; and where the checkpoint's optimizer was, if its moments came along.
   */
  public record Outcome(
      Path model,
      String scheme,
      PerformerConfig config,
      int variables,
      long parameters,
      Optional<Tokenizer> tokenizer,
      List<String> notes,
      List<String> notFinite,
      OptionalLong optimizerStep) {}

  /**
   * Reads the checkpoint and writes a SavedModel.
   *
   * @param replace whether one that is there may be replaced
   * @throws PerformerException if the checkpoint is damaged or unknown, weights are missing, or the
   *     target cannot be written
   */
  public Outcome write(Path target, boolean replace) {
    String ours = "%s: is a model of ours already; use it as it is, or export it, which copies it";
    require(!isSavedModel() || PerformerModels.config(path).isEmpty(), ours, path);
    OutputDirectory.requireFree(target, replace);
    var own = ImportedWeights.of(load(), path, options.allowMissing());
    boolean isOpen = own.tokenizer().isEmpty();
    var sentences = SentenceTransformers.beside(path);
    boolean isLower = sentences.isPresent() && sentences.get().lowerCase();
    Supplier<Optional<Tokenizer>> beside =
        () -> JsonTokenizer.beside(path).map(found -> isLower ? found.lowerCase() : found);
    var given = tokenizer.or(() -> isOpen ? beside.get() : Optional.empty());
    ImportedWeights read = given.map(own::withTokenizer).orElseGet(() -> withoutTokenizer(own));
    ImportedWeights weights =
        sentences
            .map(s -> read.withEmbedding(Optional.ofNullable(s.embedding()), s.notes()))
            .orElse(read);
    weights.write(target, replace);
    SavedModelDirectory.open(target); // read back as everything else will
    var step = weights.source().optimizer().map(state -> OptionalLong.of(state.step()));
    return new Outcome(
        target,
        weights.source().scheme(),
        weights.source().config(),
        weights.weights().size(),
        weights.weights().values().stream().mapToLong(NpyArray::size).sum(),
        weights.tokenizer(),
        weights.notes(),
        weights.notFinite(),
        step.orElse(OptionalLong.empty()));
  }

  private ImportedWeights withoutTokenizer(ImportedWeights own) {
    var other =
        own.tokenizer().isEmpty() ? JsonTokenizer.unreadBeside(path) : Optional.<Path>empty();
    String line =
        "no tokenizer: %s is SentencePiece's, which is not read; the model takes token ids";
    return other
        .map(
            file -> own.withEmbedding(own.embedding(), List.of(line.formatted(file.getFileName()))))
        .orElse(own);
  }

  private boolean isSavedModel() {
    return Files.isRegularFile(path.resolve("saved_model.pb"));
  }

  private ModelWeights load() {
    try {
      return conversion.isPresent() ? converted(conversion.get()) : Checkpoints.load(path, options);
    } catch (PerformerException e) {
      String text =
          "%s: is a SavedModel, which every command takes as it is; its weights alone make no model of ours: %s";
      throw isSavedModel() ? new PerformerException(text.formatted(path, e.getMessage()), e) : e;
    }
  }

  /** What was exact becomes FAVOR+, positions longer. */
  private ModelWeights converted(Converter to) {
    ModelWeights exact;
    try {
      exact = Checkpoints.load(path, options);
    } catch (UnknownAttentionException e) {
      if (to.conversion().isEmpty()) {
        throw e;
      }
      // Where the file does not say how it attends, it is the weights' own attention that is exact.
      exact = Checkpoints.load(path, options.with(ImportOptions.AttentionKind.EXACT));
    }
    try {
      List<String> notes = new ArrayList<>(exact.notes());
      var converted = to.converted(exact.config(), exact.weights(), notes);
      if (to.conversion().isPresent()) {
        String remedy =
            ", which approximates it; training it with the exact model as its teacher brings back what is lost";
        notes.add(notes.remove(notes.size() - 1) + remedy);
      }
      return exact.converted(converted.config(), converted.weights(), notes);
    } catch (PerformerException e) {
      throw new PerformerException(path + ": " + e.getMessage(), e).settledBy(CONVERSION);
    }
  }
}
