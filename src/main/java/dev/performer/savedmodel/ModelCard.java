package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonIgnore;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import dev.performer.model.AttentionConfig;
import dev.performer.model.TextEmbedding;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.TensorFlow;

/**
 * What a model's graph does not hold; {@code assets.extra/performer.json} of a SavedModel. Each
 * part may be absent (null).
 *
 * @param formatVersion version of this file's format, 1
 * @param attention how its first layer attends
 * @param vocabulary what its token ids mean
 * @param languageModel which tensors make it a language model
 * @param embedding how texts get vectors; null for the mean over their tokens
 * @param provenance where it comes from
 * @param data how a recipe read its examples: the section {@code data} without the files
 * @param config the {@code PerformerConfig} that Java built the graph from, as JSON
 * @param task what it guesses of labelled examples, where a fine-tuning made it do so
 * @param chatTemplate the Jinja template that makes a prompt of a conversation's messages
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record ModelCard(
    int formatVersion,
    @JsonDeserialize(converter = CardAttention.class) AttentionConfig attention,
    Vocabulary vocabulary,
    LanguageModel languageModel,
    TextEmbedding embedding,
    Provenance provenance,
    JsonNode data,
    JsonNode config,
    TaskCard task,
    String chatTemplate) {
  /** Where the file is inside a SavedModel directory. */
  public static final Path FILE = Path.of("assets.extra", "performer.json");

  /** Where its tokenizer is, if it has one of that kind. */
  public static final Path TOKENIZER_FILE = FILE.resolveSibling(JsonTokenizer.FILE);

  /** The format that this version writes. */
  public static final int FORMAT_VERSION = 1;

  public ModelCard {
    boolean isKnown = formatVersion == FORMAT_VERSION;
    require(isKnown, "formatVersion is %d, this program reads %d", formatVersion, FORMAT_VERSION);
  }

  /** A card of the current format; any part may be null. */
  public static ModelCard of(
      AttentionConfig attention, Vocabulary words, LanguageModel lm, Provenance provenance) {
    return new ModelCard(
        FORMAT_VERSION, attention, words, lm, null, provenance, null, null, null, null);
  }

  /** The same with the config of the graph. */
  public ModelCard withConfig(JsonNode tree) {
    return with(vocabulary, embedding, data, tree, task, chatTemplate);
  }

  /** The same with how a recipe reads the data. */
  public ModelCard withData(JsonNode tree) {
    return with(vocabulary, embedding, tree, config, task, chatTemplate);
  }

  /** The same with what it guesses of labelled examples. */
  public ModelCard withTask(TaskCard guessed) {
    return with(vocabulary, embedding, data, config, guessed, chatTemplate);
  }

  /** The same with how texts get vectors. */
  public ModelCard withEmbedding(TextEmbedding how) {
    return with(vocabulary, how, data, config, task, chatTemplate);
  }

  /** The same with the template of conversations. */
  public ModelCard withChatTemplate(String jinja) {
    return with(vocabulary, embedding, data, config, task, jinja);
  }

  /**
   * Whether the end token was learnt, where the vocabulary has one; older cards have it in data.
   */
  public boolean learntEnd() {
    Boolean own = languageModel == null ? null : languageModel.end;
    return own != null ? own : data == null || data.path("end").asBoolean(true);
  }

  private ModelCard with(
      Vocabulary words,
      TextEmbedding vectors,
      JsonNode reading,
      JsonNode graph,
      TaskCard guessed,
      String jinja) {
    return new ModelCard(
        formatVersion,
        attention,
        words,
        languageModel,
        vectors,
        provenance,
        reading,
        graph,
        guessed,
        jinja);
  }

  /**
   * What token ids mean; those of padding, of the mask, and that begin and end a sequence are null
   * where there is none.
   *
   * @param name such as {@code protein}
   * @param tokens the token of each id, from 0; null where the vocabulary is known by its name
   * @param tokenizer {@code tokenizer.json}, where that file lies beside the card, or {@code
   *     bytes:N}; null where each token is a letter
   * @param tokenizerJson what that file holds; not a part of the card's text
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Vocabulary(
      String name,
      List<String> tokens,
      Integer padId,
      Integer maskId,
      Integer bosId,
      Integer eosId,
      String tokenizer,
      @JsonIgnore String tokenizerJson) {

    /** One whose tokens are letters. */
    public Vocabulary(
        String name, List<String> tokens, Integer pad, Integer mask, Integer bos, Integer eos) {
      this(name, tokens, pad, mask, bos, eos, null, null);
    }
  }

  /** What a language model was trained to do. */
  public enum Objective {
    @JsonProperty("masked-lm")
    MASKED_LM,
    @JsonProperty("causal-lm")
    CAUSAL_LM
  }

  /**
   * Which tokens a masked language model was trained to guess.
   *
   * @param rate the share of tokens that are guessed
   * @param mask of these, the share that the mask token replaces
   * @param random of these, the share that another token replaces
   * @param evaluation {@link #PROTEIN_LM}, or null for masks by seed
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Masking(double rate, double mask, double random, String evaluation) {
    /** Evaluated as Google's protein_lm is, which draws the masks from the tokens of a batch. */
    public static final String PROTEIN_LM = "protein-lm";

    public Masking {
      boolean isKnown = evaluation == null || evaluation.equals(PROTEIN_LM);
      require(isKnown, "masking.evaluation is %s, expected %s or nothing", evaluation, PROTEIN_LM);
    }
  }

  /**
   * Which tensors make it a language model, and how it is fed.
   *
   * @param signature such as {@code serving_default}
   * @param tokens the input with token ids, {@code [B, L]}
   * @param mask the input that is 1 where a token is real, {@code [B, L]}; null if there is none
   * @param logits the output, {@code [B, L, vocabulary]}
   * @param shiftsInputs whether a causal model shifts its inputs itself, so that logits at t are
   *     for token t; null means no
   * @param masking what a masked model was trained to guess; null if that is not known
   * @param maxLength tokens of a sequence at most; null if there is no limit
   * @param paddedLength tokens that each sequence must be padded to, as in training, where padding
   *     is not masked; null for any length
   * @param end whether sequences ended with the end token in training; null means yes
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record LanguageModel(
      String signature,
      String tokens,
      String mask,
      String logits,
      Objective objective,
      Boolean shiftsInputs,
      Masking masking,
      Integer maxLength,
      Integer paddedLength,
      Boolean end) {

    public LanguageModel {
      boolean isPadded = paddedLength != null;
      require(maxLength == null || maxLength > 0, "languageModel.maxLength is %d", maxLength);
      require(!isPadded || paddedLength > 0, "languageModel.paddedLength is %d", paddedLength);
    }

    /** One that shifts nothing, of which nothing more is known. */
    public LanguageModel(
        String signature, String tokens, String mask, String logits, Objective objective) {
      this(signature, tokens, mask, logits, objective, null, null, null, null, null);
    }

    /** Fails, where TensorFlow would miss an index, if rows have more tokens than it takes. */
    public void requireShort(Map<String, NpyArray> inputs, Object model) {
      NpyArray ids = maxLength == null || tokens == null ? null : inputs.get(tokens);
      if (ids != null && ids.shape().length == 2) {
        String text = "%s has %d tokens a row, but %s takes %d at most; cut the rows to that";
        long length = ids.shape()[1];
        require(length <= maxLength, text, tokens, length, model, maxLength);
      }
    }

    /** The same with other tensors and objective. */
    public LanguageModel withTensors(
        String signature, String ids, String mask, String logits, Objective objective) {
      return new LanguageModel(
          signature,
          ids,
          mask,
          logits,
          objective,
          shiftsInputs,
          masking,
          maxLength,
          paddedLength,
          end);
    }

    /** The same, trained for something else. */
    public LanguageModel withObjective(Objective other, Boolean shifts) {
      return new LanguageModel(
          signature, tokens, mask, logits, other, shifts, masking, maxLength, paddedLength, end);
    }

    /** The same, trained with the end token or without. */
    public LanguageModel withEnd(boolean learnt) {
      return new LanguageModel(
          signature,
          tokens,
          mask,
          logits,
          objective,
          shiftsInputs,
          masking,
          maxLength,
          paddedLength,
          learnt);
    }
  }

  /**
   * Where a model comes from.
   *
   * @param importedFrom the model or checkpoint it was made from
   * @param scheme the naming scheme of that checkpoint
   * @param assumptions what the checkpoint did not record and was assumed, one line each
   * @param importedStep the training step that the checkpoint was saved at
   * @param trainedOn the data it was trained on here, with that seed and number of steps
   * @param versions of the programs, such as {@code tensorflow → 2.18.0}
   * @param metricsBefore metrics on the validation data before training
   * @param metricsAfter the same after it
   * @param date ISO 8601, such as {@code 2026-11-24T07:00:00Z}
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Provenance(
      String importedFrom,
      String scheme,
      List<String> assumptions,
      Long importedStep,
      String trainedOn,
      Long seed,
      Long steps,
      Map<String, String> versions,
      Map<String, Double> metricsBefore,
      Map<String, Double> metricsAfter,
      String date) {

    /** Nothing is known. */
    public static final Provenance UNKNOWN =
        new Provenance(null, null, null, null, null, null, null, null, null, null, null);

    /** An import, now. */
    public static Provenance imported(
        Path from, String scheme, List<String> assumptions, Long step) {
      var known = assumptions.isEmpty() ? null : assumptions;
      return new Provenance(
          from.toString(), scheme, known, step, null, null, null, programs(), null, null, now());
    }

    /** A model that was made of this one, and what has to be known about how. */
    public Provenance madeFrom(Path model, List<String> notes) {
      List<String> all = new ArrayList<>(assumptions == null ? List.of() : assumptions);
      all.addAll(notes);
      var known = all.isEmpty() ? null : all;
      String from = importedFrom == null ? model.toString() : importedFrom;
      return new Provenance(
          from, scheme, known, importedStep, trainedOn, seed, steps, versions, null, null, date);
    }

    /** The same after training on some data, now; the metrics are of the validation data. */
    public Provenance trained(
        String data, long seed, long steps, Map<String, Double> before, Map<String, Double> after) {
      String from = importedFrom;
      Long first = importedStep;
      return new Provenance(
          from, scheme, assumptions, first, data, seed, steps, programs(), before, after, now());
    }

    private static Map<String, String> programs() {
      return Map.of("tensorflow", TensorFlow.version());
    }

    private static String now() {
      return Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    }
  }

  /**
   * Reads the card of a SavedModel.
   *
   * @return empty if it has none, as models from Python do
   * @throws PerformerException if the file is broken: names the file and the key
   */
  public static Optional<ModelCard> read(Path savedModel) {
    Path file = savedModel.resolve(FILE);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    ModelCard card = StrictJson.read(file, ModelCard.class);
    Vocabulary words = card.vocabulary;
    return Optional.of(
        words != null && JsonTokenizer.FILE.equals(words.tokenizer)
            ? card.with(
                withTokenizerJson(words, savedModel),
                card.embedding,
                card.data,
                card.config,
                card.task,
                card.chatTemplate)
            : card);
  }

  private static Vocabulary withTokenizerJson(Vocabulary v, Path savedModel) {
    Path file = savedModel.resolve(TOKENIZER_FILE);
    try {
      String json = RegularFiles.readString(file);
      return new Vocabulary(
          v.name, v.tokens, v.padId, v.maskId, v.bosId, v.eosId, v.tokenizer, json);
    } catch (IOException e) {
      throw new PerformerException(
          file + ": cannot be read, but " + FILE + " names it: " + AtomicFiles.describe(e), e);
    }
  }

  /** Writes the card into a SavedModel directory that is being made. */
  void write(Path savedModel) throws IOException {
    Path file = savedModel.resolve(FILE);
    Files.createDirectories(file.getParent());
    StrictJson.write(file, this);
    if (vocabulary != null && vocabulary.tokenizerJson != null) {
      Files.writeString(savedModel.resolve(TOKENIZER_FILE), vocabulary.tokenizerJson);
    }
  }
}
