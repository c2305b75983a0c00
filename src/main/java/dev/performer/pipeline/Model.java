package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.IdTokenizer;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.CardTokenizer;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ModelCard.LanguageModel;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PositionTable;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TaskCard;
import dev.performer.training.ImportedLanguageModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import org.tensorflow.proto.SignatureDef;

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
  private static final LanguageModel NOT_RECORDED = new LanguageModel(null, null, null, null, null);

  private final SavedModelDirectory directory;
  private final Optional<ModelCard> card;
  private final Optional<PerformerConfig> config;
  private final LanguageModel recorded;
  private final Optional<TaskCard> task;
  private final ModelOptions options;
  private final Map<LanguageModel, Causality> causality = new ConcurrentHashMap<>();
  private final Map<String, Optional<PositionTable>> positions = new ConcurrentHashMap<>();

  private Model(SavedModelDirectory directory, ModelOptions options) {
    this.directory = directory;
    this.options = options;
    card = ModelCard.read(directory.path());
    config = PerformerModels.config(directory.path());
    task = card.map(ModelCard::task);
    recorded = card.map(ModelCard::languageModel).orElse(NOT_RECORDED);
  }

  /**
   * Opens a model with all that it records of itself.
   *
   * @param path a SavedModel; or the directory of a run, whose exported model is taken
   * @throws PerformerException if there is none, it is damaged, or a checkpoint to be imported
   */
  public static Model open(Path path) {
    return open(path, ModelOptions.DEFAULT);
  }

  /** The same with options over what it records. */
  public static Model open(Path path, ModelOptions options) {
    return new Model(SavedModelDirectory.open(ModelLocation.savedModel(path)), options);
  }

  /** Whether a path is a checkpoint, which has to be imported before it is a model. */
  public static boolean isCheckpoint(Path path) {
    return ModelLocation.isCheckpoint(path);
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

  /** The same as TensorFlow has them, whatever types they have. */
  public Map<String, SignatureDef> signatureDefs() {
    return directory.metaGraph().getSignatureDefMap();
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

  /** What is given over what it records. */
  public ModelOptions options() {
    return options;
  }

  /** What its token ids mean, if options or model have it. */
  public Optional<Tokenizer> tokenizer() {
    return Optional.ofNullable(options.tokenizer())
        .map(own -> isUnsized(own) && config.isPresent() ? numbered(config.get()) : own)
        .or(() -> card.map(ModelCard::vocabulary).map(CardTokenizer::of));
  }

  /**
   * How it is used as a language model; where nothing says what it was trained to guess, it runs
   * once to find out.
   *
   * @throws PerformerException if it does not show that
   */
  public LanguageModelSpec languageModel() {
    return languageModel(LanguageModelSpec::causality);
  }

  /** The same, where running it is up to the caller. */
  LanguageModelSpec languageModel(Function<LanguageModelSpec, Causality> run) {
    LanguageModelSpec spec = spec(false);
    return spec.tensors().objective() != null
        ? spec
        : spec.assumed(causality.computeIfAbsent(spec.tensors(), key -> run.apply(spec)));
  }

  /**
   * How it continues texts, perhaps with logits of the last token alone; without objective where
   * nothing says it.
   */
  LanguageModelSpec continuation() {
    return spec(true);
  }

  private LanguageModelSpec spec(boolean mayBeLast) {
    List<String> notes = new ArrayList<>();
    SignatureSpec spec = directory.signature(signature());
    Tokenizer known = tokenizer().orElse(null);
    LanguageModel own = spec.name().equals(recorded.signature()) ? recorded : NOT_RECORDED;
    var masking = options.masking() == null ? null : options.masking().forCard();
    int size = known == null || isUnsized(known) ? 0 : known.size();
    String logits = first(options.logits(), own.logits());
    if (logits == null && mayBeLast) {
      logits = ImportedLanguageModel.lastLogits(spec, size).orElse(null);
    }
    LanguageModel wanted =
        new LanguageModel(
            spec.name(),
            first(options.tokens(), own.tokens()),
            first(options.mask(), own.mask()),
            logits,
            first(options.objective(), recorded.objective()),
            first(options.shiftsInputs(), recorded.shiftsInputs()),
            first(masking, recorded.masking()),
            recorded.maxLength(),
            recorded.paddedLength(),
            recorded.end());
    try {
      var tensors = ImportedLanguageModel.resolve(spec, wanted, size);
      Tokenizer meaning = known != null ? known : assumedTokenizer(spec, tensors, notes);
      Tokenizer sized = isUnsized(meaning) ? numbered(spec, tensors) : meaning;
      return new LanguageModelSpec(this, tensors, sized, notes);
    } catch (PerformerException e) {
      throw e.in(path());
    }
  }

  private static Tokenizer numbered(PerformerConfig model) {
    return new IdTokenizer(model.vocabularySize());
  }

  private static boolean isUnsized(Tokenizer tokenizer) {
    return tokenizer instanceof IdTokenizer ids && ids.size() == 0;
  }

  /** As many ids as there are logits. */
  private static IdTokenizer numbered(SignatureSpec spec, LanguageModel tensors) {
    long size = width(spec, tensors);
    if (size < 1) {
      String text = "the number of token ids is not known; name them ids:N, of N ids";
      throw new PerformerException(text).settledBy("vocabulary");
    }
    return new IdTokenizer((int) size);
  }

  /** Numbers of the logits of a token; -1 where that is not known. */
  private static long width(SignatureSpec spec, LanguageModel tensors) {
    var shape = spec.output(tensors.logits()).shape();
    return shape.isUnknown() || shape.numDimensions() == 0 ? -1 : shape.get(-1);
  }

  /** The table that limits the length of sequences; none where the model was built here. */
  Optional<PositionTable> positions(String signature) {
    return config.isPresent()
        ? Optional.empty()
        : positions.computeIfAbsent(signature, name -> PositionTable.of(directory, name));
  }

  /** How a signature takes sequences, with logits or without. */
  public TokenInput input() {
    return input(false);
  }

  /**
   * The same.
   *
   * @param idsOnly whether sequences come as ids, which then need no meaning
   * @throws PerformerException if its input is not found, or the meaning of its ids is not known
   */
  public TokenInput input(boolean idsOnly) {
    SignatureSpec called = directory.signature(signature());
    Tokenizer known = tokenizer().orElse(null);
    List<String> notes = List.of();
    if (known == null && idsOnly && config.isPresent()) {
      var ids = Vocabulary.ofIds(config.get().vocabularySize(), config.get().padId());
      known = new LetterTokenizer("ids", ids);
    } else if (known == null) {
      try {
        require(config.isEmpty() || recorded != NOT_RECORDED, "no letters are assumed");
        LanguageModelSpec spec = spec(false);
        known = spec.tokenizer();
        notes = spec.notes();
      } catch (PerformerException e) {
        String text =
            "%s: does not say what its token ids mean; give a vocabulary, or import it with a tokenizer";
        if (!idsOnly) {
          throw new PerformerException(text.formatted(path()), e).settledBy("vocabulary");
        }
        known = new IdTokenizer(0);
      }
    }
    try {
      boolean isTask = task.isPresent() && called.name().equals(task.get().signature());
      String tokens = first(options.tokens(), isTask ? task.get().tokens() : null);
      tokens = tokens != null ? tokens : ImportedLanguageModel.tokens(called);
      String mask = first(options.mask(), isTask ? task.get().mask() : null);
      mask = mask != null ? mask : ImportedLanguageModel.mask(called, tokens);
      var fed = lengths().withTensors(called.name(), tokens, mask, null, null);
      return TokenInput.of(this, called, fed, known, notes);
    } catch (PerformerException e) {
      throw e.in(path());
    }
  }

  /** The lengths that it records, or else was built for. */
  private LanguageModel lengths() {
    if (recorded == NOT_RECORDED && task.isPresent()) {
      Integer longest = task.get().maxLength();
      return new LanguageModel(
          null, null, null, null, null, null, null, longest, task.get().paddedLength(), null);
    } else if (recorded != NOT_RECORDED || config.isEmpty()) {
      return recorded;
    }
    Integer longest = PerformerModels.longest(config.get());
    Integer padded = PerformerModels.paddedLength(config.get());
    return new LanguageModel(null, null, null, null, null, null, null, longest, padded, null);
  }

  private String signature() {
    String own = first(recorded.signature(), ImportedModel.DEFAULT_SIGNATURE);
    own = task.isPresent() && recorded == NOT_RECORDED ? task.get().signature() : own;
    return first(options.signature(), own);
  }

  private static <T> T first(T given, T otherwise) {
    return given != null ? given : otherwise;
  }

  private Tokenizer assumedTokenizer(
      SignatureSpec spec, LanguageModel tensors, List<String> notes) {
    long size = width(spec, tensors);
    String assumed =
        "The model does not say what its token ids mean: the vocabulary %s is assumed, as it has %d tokens too.";
    for (String name : List.of(ProteinVocabulary.GOOGLE_NAME, ProteinVocabulary.PAD_FIRST_NAME)) {
      Vocabulary candidate = ProteinVocabulary.named(name);
      if (candidate.size() == size) {
        notes.add(assumed.formatted(name, size));
        return new LetterTokenizer(name, candidate);
      }
    }
    String text =
        "%s: the output %s has %s numbers a token, which fits no known vocabulary (google-protein has %d); if these are logits, give their vocabulary (ids where texts are token ids), else name the logits";
    Object found = size < 0 ? "an unknown number of" : size;
    int google = ProteinVocabulary.google().size();
    throw new PerformerException(text.formatted(path(), tensors.logits(), found, google))
        .settledBy("vocabulary", "logits");
  }
}
