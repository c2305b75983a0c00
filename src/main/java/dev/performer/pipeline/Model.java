package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.training.ImportedLanguageModel;
import dev.performer.training.ModelCards;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.tensorflow.ndarray.Shape;

/**
 * A model on disk and how it is used: signature, tensors, tokenizer, objective. What its options
 * leave open comes from its performer.json, else from names and shapes.
 *
 * <pre>{@code
 * Model model = Model.open(Path.of("runs/protein")); // a SavedModel, or a run directory
 * try (Scorer scorer = Scorer.load(model)) {
 *   System.out.println(scorer.score("MKTAYIAKQR").perplexity());
 * }
 * }</pre>
 *
 * <p>Immutable, and safe for use by several threads. It holds no native memory: what runs it does,
 * and is closed by whoever loaded it.
 */
public final class Model {
  private static final String ASSUMED_OBJECTIVE =
      "The model does not say what it was trained for: the objective masked-lm is assumed.";

  private final SavedModelDirectory directory;
  private final Optional<ModelCard> card;
  private final Optional<PerformerConfig> config;
  private final ModelOptions options;

  private Model(SavedModelDirectory directory, ModelOptions options) {
    this.directory = directory;
    this.options = options;
    card = ModelCard.read(directory.path());
    config = PerformerModels.config(directory.path());
  }

  /**
   * Opens a model with all that it records of itself.
   *
   * @param path a SavedModel; or the directory of a run, whose exported model is taken
   * @throws PerformerException if there is none, or it is damaged; a checkpoint is to be imported
   *     first
   */
  public static Model open(Path path) {
    return open(path, ModelOptions.DEFAULT);
  }

  /** The same with options over what it records. */
  public static Model open(Path path, ModelOptions options) {
    return new Model(SavedModelDirectory.open(ModelLocation.savedModel(path)), options);
  }

  /** Whether a path is the directory of a run, finished or not. */
  public static boolean isRun(Path path) {
    return ModelLocation.isRun(path);
  }

  /** The same model with other options. */
  public Model with(ModelOptions other) {
    return new Model(directory, other);
  }

  /** The SavedModel directory. */
  public Path path() {
    return directory.path();
  }

  /** Its signatures by name. */
  public Map<String, SignatureSpec> signatures() {
    return directory.signatures();
  }

  SavedModelDirectory directory() {
    return directory;
  }

  /** What it records of itself in performer.json, if it has that. */
  public Optional<ModelCard> card() {
    return card;
  }

  /** How it is built, if it was built here. */
  public Optional<PerformerConfig> config() {
    return config;
  }

  /** What was given over what the model records. */
  public ModelOptions options() {
    return options;
  }

  /**
   * What its token ids mean, if options or model have it.
   *
   * @throws PerformerException if what the model records is broken
   */
  public Optional<Tokenizer> tokenizer() {
    return options.tokenizer() != null
        ? Optional.of(options.tokenizer())
        : card.map(ModelCard::vocabulary).map(ModelCards::tokenizer);
  }

  /**
   * How it is used as a language model.
   *
   * @throws PerformerException if tokens or logits are not to be found, or the meaning of its token
   *     ids is not known
   */
  public LanguageModelSpec languageModel() {
    List<String> notes = new ArrayList<>();
    ModelCard.LanguageModel recorded = recorded();
    SignatureSpec spec = directory.signature(signature(recorded));
    Tokenizer known = tokenizer().orElse(null);
    boolean isRecorded = recorded != null && spec.name().equals(recorded.signature());
    ModelCard.LanguageModel base =
        recorded != null ? recorded : new ModelCard.LanguageModel(null, null, null, null, null);
    ModelCard.LanguageModel wanted =
        base.withTensors(
            spec.name(),
            options.tokens() != null || !isRecorded ? options.tokens() : recorded.tokens(),
            options.mask() != null || !isRecorded ? options.mask() : recorded.mask(),
            options.logits() != null || !isRecorded ? options.logits() : recorded.logits(),
            objective(recorded, notes));
    ModelCard.LanguageModel tensors;
    try {
      tensors = ImportedLanguageModel.resolve(spec, wanted, known == null ? 0 : known.size());
    } catch (PerformerException e) {
      throw e.in(path());
    }
    Tokenizer meaning = known != null ? known : assumedTokenizer(spec, tensors, notes);
    return new LanguageModelSpec(this, tensors, meaning, notes);
  }

  /**
   * How a signature takes sequences; it need not have logits.
   *
   * @throws PerformerException if its input is not to be found, or the meaning of its token ids is
   *     not known
   */
  public TokenInput input() {
    return input(false);
  }

  /**
   * The same.
   *
   * @param idsOnly whether sequences come as ids, so that nothing need say what they mean
   */
  public TokenInput input(boolean idsOnly) {
    ModelCard.LanguageModel recorded = recorded();
    SignatureSpec called = directory.signature(signature(recorded));
    Tokenizer known = tokenizer().orElse(null);
    List<String> notes = List.of();
    if (known == null && idsOnly && config.isPresent()) {
      known =
          new LetterTokenizer(
              "ids", Vocabulary.ofIds(config.get().vocabularySize(), config.get().padId()));
    } else if (known == null && recorded == null && config.isPresent()) {
      throw new PerformerException(
              path()
                  + ": does not say what its token ids mean; give a vocabulary, or import it with a tokenizer")
          .settledBy("vocabulary");
    } else if (known == null) {
      LanguageModelSpec spec = languageModel();
      known = spec.tokenizer();
      notes = spec.notes().stream().filter(note -> !note.equals(ASSUMED_OBJECTIVE)).toList();
    }
    String tokens = options.tokens();
    String mask = options.mask();
    try {
      tokens = tokens != null ? tokens : ImportedLanguageModel.tokens(called);
      mask = mask != null ? mask : ImportedLanguageModel.mask(called, tokens);
    } catch (PerformerException e) {
      throw e.in(path());
    }
    return new TokenInput(
        path(),
        called,
        tokens,
        mask,
        known,
        length(recorded, ModelCard.LanguageModel::maxLength, PerformerModels::longest),
        length(recorded, ModelCard.LanguageModel::paddedLength, PerformerModels::paddedLength),
        notes);
  }

  private int length(
      ModelCard.LanguageModel recorded,
      Function<ModelCard.LanguageModel, Integer> own,
      Function<PerformerConfig, Integer> built) {
    Integer length = recorded != null ? own.apply(recorded) : config.map(built).orElse(null);
    return length == null ? 0 : length;
  }

  private ModelCard.LanguageModel recorded() {
    return card.map(ModelCard::languageModel).orElse(null);
  }

  private String signature(ModelCard.LanguageModel recorded) {
    if (options.signature() != null) {
      return options.signature();
    }
    return recorded != null && recorded.signature() != null
        ? recorded.signature()
        : ImportedModel.DEFAULT_SIGNATURE;
  }

  private ModelCard.Objective objective(ModelCard.LanguageModel recorded, List<String> notes) {
    if (options.objective() != null) {
      return options.objective();
    }
    if (recorded != null && recorded.objective() != null) {
      return recorded.objective();
    }
    notes.add(ASSUMED_OBJECTIVE);
    return ModelCard.Objective.MASKED_LM;
  }

  private Tokenizer assumedTokenizer(
      SignatureSpec spec, ModelCard.LanguageModel tensors, List<String> notes) {
    Shape shape = spec.output(tensors.logits()).shape();
    long size = shape.isUnknown() ? -1 : shape.get(shape.numDimensions() - 1);
    for (String name : List.of(ProteinVocabulary.GOOGLE_NAME, ProteinVocabulary.PAD_FIRST_NAME)) {
      Vocabulary candidate = ProteinVocabulary.named(name);
      if (candidate.size() == size) {
        notes.add(
            "The model does not say what its token ids mean: the vocabulary %s is assumed, as it has %d tokens too."
                .formatted(name, size));
        return new LetterTokenizer(name, candidate);
      }
    }
    throw new PerformerException(
            ("%s: the output %s has %s numbers a token, which fits no known vocabulary (google-protein has %d);"
                    + " if these are logits, give their vocabulary, else name the logits")
                .formatted(
                    path(),
                    tensors.logits(),
                    size < 0 ? "an unknown number of" : size,
                    ProteinVocabulary.google().size()))
        .settledBy("vocabulary", "logits");
  }
}
