package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.Masking;
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
import dev.performer.training.Objective;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Stream;
import org.tensorflow.ndarray.Shape;
import picocli.CommandLine.Option;

/**
 * How a SavedModel is used as a language model; what is not said comes from its performer.json,
 * else is assumed and told.
 */
final class LanguageModelOptions {
  private final List<String> notes = new ArrayList<>();

  @Option(
      names = "--signature",
      paramLabel = "S",
      description = "Signature (default: what performer.json says, else serving_default).")
  String signature;

  @Option(
      names = "--tokens",
      paramLabel = "INPUT",
      description = "The input that takes token ids (default: found by type and name).")
  String tokens;

  @Option(
      names = "--mask",
      paramLabel = "INPUT",
      description = "The input that is 1 where a token is real (default: found by name).")
  String mask;

  @Option(
      names = "--logits",
      paramLabel = "OUTPUT",
      description = "The output with logits [B, L, vocabulary] (default: found by shape and name).")
  String logits;

  @Option(
      names = "--vocabulary",
      paramLabel = "V",
      description =
          "google-protein, pad-first-protein, letters:ABC…, bytes, bytes:N (N special ids before the bytes) or a tokenizer.json (default: from performer.json, else by the number of logits).")
  String vocabulary;

  @Option(
      names = "--objective",
      paramLabel = "O",
      description = "masked-lm or causal-lm (default: from performer.json, else masked-lm).")
  String objective;

  @Option(
      names = "--masking",
      paramLabel = "M",
      description =
          "Of 15 %% of the tokens: bert = 80 %% mask, 10 %% random; protein-lm = 10 %% mask, 80 %% random; google-eval = the same, at the places that protein_lm draws from the tokens of a batch in evaluation (default: from performer.json, else bert).")
  String masking;

  @Option(
      names = "--model-shifts",
      description =
          "A causal model that shifts its inputs itself, as Google's FlaxLM: logits at t are for token t (default: from performer.json).")
  boolean modelShifts;

  /** Nothing said: all from performer.json, or assumed. */
  static LanguageModelOptions defaults() {
    return new LanguageModelOptions();
  }

  /** Whether any of the options is given. */
  boolean isAnySaid() {
    return modelShifts
        || Stream.of(signature, tokens, mask, logits, vocabulary, objective, masking)
            .anyMatch(Objects::nonNull);
  }

  /**
   * What was found out about a model.
   *
   * @param directory the SavedModel
   * @param card its performer.json, if it has one
   * @param tensors signature, inputs, output and objective
   * @param tokenizer between texts and its tokens
   */
  record Resolved(
      SavedModelDirectory directory,
      Optional<ModelCard> card,
      ModelCard.LanguageModel tensors,
      Tokenizer tokenizer) {

    /** Its tokens. */
    Vocabulary vocabulary() {
      return tokenizer.vocabulary();
    }

    /** What a model that is made from this one says of its tokens. */
    ModelCard.Vocabulary cardVocabulary() {
      ModelCard.Vocabulary said = card.map(ModelCard::vocabulary).orElse(null);
      return tokenizer instanceof LetterTokenizer
          ? ModelCards.vocabulary(said == null ? null : said.name(), vocabulary())
          : ModelCards.vocabulary(tokenizer);
    }

    /** Imports the model's signature into a graph; the caller closes it. */
    ImportedModel load() {
      return ImportedModel.load(directory, List.of(tensors.signature()));
    }
  }

  /**
   * What it takes to feed sequences to a signature; it need not have logits.
   *
   * @param mask the mask input, or null
   * @param maxLength tokens of a sequence at most; 0 for no limit
   * @param paddedLength tokens that sequences are padded to at least; 0 for no such length
   */
  record Tokenized(
      String signature,
      String tokens,
      String mask,
      Tokenizer tokenizer,
      int maxLength,
      int paddedLength) {}

  /** Finds out how a signature takes sequences. */
  Tokenized tokenizer(Path path) {
    return tokenizer(path, false);
  }

  /**
   * Finds out how a signature takes sequences.
   *
   * @param idsOnly whether what comes is ids already, so that it need not be known what they mean
   */
  Tokenized tokenizer(Path path, boolean idsOnly) {
    SavedModelDirectory directory = SavedModelDirectory.open(path);
    Optional<ModelCard> card = ModelCard.read(path);
    ModelCard.LanguageModel said = card.map(ModelCard::languageModel).orElse(null);
    SignatureSpec spec = directory.signature(signature(said));
    Tokenizer known = knownTokenizer(card);
    PerformerConfig config = PerformerModels.config(path).orElse(null);
    if (known == null && idsOnly && config != null) {
      known = new LetterTokenizer("ids", Vocabulary.ofIds(config.vocabularySize(), config.padId()));
    } else if (known == null && said == null && config != null) {
      throw new PerformerException(
          path
              + ": does not say what its token ids mean; give --vocabulary, or import it with"
              + " --tokenizer");
    } else if (known == null) {
      known = resolve(path).tokenizer();
    }
    String input = tokens != null ? tokens : ImportedLanguageModel.tokens(spec);
    String maskInput = mask != null ? mask : ImportedLanguageModel.mask(spec, input);
    return new Tokenized(
        spec.name(),
        input,
        maskInput,
        known,
        orZero(said != null ? said.maxLength() : of(path, PerformerModels::longest)),
        orZero(said != null ? said.paddedLength() : of(path, PerformerModels::paddedLength)));
  }

  /** How a language model takes sequences. */
  Tokenized tokenized(Resolved model) {
    ModelCard.LanguageModel tensors = model.tensors();
    return new Tokenized(
        tensors.signature(),
        tensors.tokens(),
        tensors.mask(),
        model.tokenizer(),
        orZero(tensors.maxLength()),
        orZero(tensors.paddedLength()));
  }

  /** Finds out how the model is to be used. */
  Resolved resolve(Path path) {
    SavedModelDirectory directory = SavedModelDirectory.open(path);
    Optional<ModelCard> card = ModelCard.read(path);
    ModelCard.LanguageModel said = card.map(ModelCard::languageModel).orElse(null);
    SignatureSpec spec = directory.signature(signature(said));
    Tokenizer known = knownTokenizer(card);
    boolean sameSignature = said != null && spec.name().equals(said.signature());
    ModelCard.LanguageModel base =
        said != null ? said : new ModelCard.LanguageModel(null, null, null, null, null);
    ModelCard.LanguageModel wanted =
        base.withTensors(
            spec.name(),
            tokens != null || !sameSignature ? tokens : said.tokens(),
            mask != null || !sameSignature ? mask : said.mask(),
            logits != null || !sameSignature ? logits : said.logits(),
            objective(said));
    ModelCard.LanguageModel tensors =
        ImportedLanguageModel.resolve(spec, wanted, known == null ? 0 : known.size());
    Tokenizer meaning = known != null ? known : assumedTokenizer(path, spec, tensors);
    notes.forEach(System.err::println); // not before a failure, which is one line
    notes.clear();
    return new Resolved(directory, card, tensors, meaning);
  }

  /** What the model is asked to guess in training. */
  Objective objective(ModelCard.LanguageModel tensors, Vocabulary known) {
    if (tensors.objective() == ModelCard.Objective.CAUSAL_LM) {
      return new Objective.CausalLanguageModel(
          modelShifts || Boolean.TRUE.equals(tensors.shiftsInputs()));
    }
    if (known.mask().isEmpty()) {
      throw new PerformerException(
          "the vocabulary has no mask token, which masked-lm needs; give --objective causal-lm or another --vocabulary");
    }
    return new Objective.MaskedLanguageModel(proportions(tensors.masking()));
  }

  /**
   * What the model is asked to guess in evaluation: Google's protein_lm draws its masks in a way of
   * its own, from the tokens of a whole batch.
   */
  Objective evaluationObjective(ModelCard.LanguageModel tensors, Vocabulary known) {
    return isGoogleEvaluation(tensors)
        ? new Objective.GoogleMaskedLanguageModel(proportions(tensors.masking()))
        : objective(tensors, known);
  }

  /** Whether masks are drawn as protein_lm draws them in evaluation. */
  boolean isGoogleEvaluation(ModelCard.LanguageModel tensors) {
    boolean said =
        tensors.masking() != null
            && ModelCard.Masking.PROTEIN_LM.equals(tensors.masking().evaluation());
    return tensors.objective() != ModelCard.Objective.CAUSAL_LM
        && (masking == null ? said : masking.equals("google-eval"));
  }

  private Masking proportions(ModelCard.Masking said) {
    if (masking == null) {
      return said == null ? Masking.BERT : new Masking(said.rate(), said.mask(), said.random());
    }
    return switch (masking) {
      case "bert" -> Masking.BERT;
      case "protein-lm", "google-eval" -> Masking.PROTEIN_LM;
      default ->
          throw new UsageException(
              "--masking must be bert, protein-lm or google-eval, not '" + masking + "'");
    };
  }

  private static Integer of(Path model, Function<PerformerConfig, Integer> length) {
    return PerformerModels.config(model).map(length).orElse(null);
  }

  private static int orZero(Integer value) {
    return value == null ? 0 : value;
  }

  private String signature(ModelCard.LanguageModel said) {
    if (signature != null) {
      return signature;
    }
    return said != null && said.signature() != null
        ? said.signature()
        : ImportedModel.DEFAULT_SIGNATURE;
  }

  private ModelCard.Objective objective(ModelCard.LanguageModel said) {
    if (objective == null) {
      if (said != null && said.objective() != null) {
        return said.objective();
      }
      notes.add(
          "The model does not say what it was trained for: masked-lm is assumed (--objective).");
      return ModelCard.Objective.MASKED_LM;
    }
    return switch (objective) {
      case "masked-lm" -> ModelCard.Objective.MASKED_LM;
      case "causal-lm" -> ModelCard.Objective.CAUSAL_LM;
      default ->
          throw new UsageException(
              "--objective must be masked-lm or causal-lm, not '" + objective + "'");
    };
  }

  private Tokenizer knownTokenizer(Optional<ModelCard> card) {
    if (vocabulary != null) {
      return tokenizerNamed(vocabulary);
    }
    return card.map(ModelCard::vocabulary).map(ModelCards::tokenizer).orElse(null);
  }

  /** The tokenizer of a name, or of a file. */
  static Tokenizer tokenizerNamed(String name) {
    if (ByteTokenizer.isNamed(name)) {
      return ByteTokenizer.named(name);
    }
    boolean isFile = name.endsWith(".json") || name.endsWith(".txt");
    return isFile
        ? JsonTokenizer.read(Path.of(name))
        : new LetterTokenizer(name, ProteinVocabulary.named(name));
  }

  private Tokenizer assumedTokenizer(
      Path path, SignatureSpec spec, ModelCard.LanguageModel tensors) {
    Shape shape = spec.output(tensors.logits()).shape();
    long size = shape.isUnknown() ? -1 : shape.get(shape.numDimensions() - 1);
    for (String name :
        new String[] {ProteinVocabulary.GOOGLE_NAME, ProteinVocabulary.PAD_FIRST_NAME}) {
      Vocabulary candidate = ProteinVocabulary.named(name);
      if (candidate.size() == size) {
        notes.add(
            "The model does not say what its token ids mean: "
                + name
                + " is assumed, as it has "
                + size
                + " tokens too (--vocabulary).");
        return new LetterTokenizer(name, candidate);
      }
    }
    throw new PerformerException(
        path
            + ": the output "
            + tensors.logits()
            + " has "
            + (size < 0 ? "an unknown number of" : size)
            + " numbers a token, which fits no known vocabulary (google-protein has "
            + ProteinVocabulary.google().size()
            + "); if these are logits, say of which --vocabulary, else name the logits with --logits");
  }
}
