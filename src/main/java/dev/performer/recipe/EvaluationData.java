package dev.performer.recipe;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.PixelExamples;
import dev.performer.data.StrictJson;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.recipe.RecipeData.Kind;
import dev.performer.savedmodel.ModelCard;
import dev.performer.training.LoopOptions;
import dev.performer.training.TokenBatchSource;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The data that a model is evaluated on, read as the data that it was trained on were.
 *
 * @param trained the section {@code data} of the recipe that trained it
 * @param recipe all of it, where it is at hand
 * @param seed of the training, from which made-up examples follow
 */
public record EvaluationData(RecipeData trained, Optional<Recipe> recipe, long seed) {
  /**
   * How data are read; null for what the model or its recipe records.
   *
   * @param text column or feature with the sequence
   * @param label column or feature with the class or number, or the file of MNIST's labels
   * @param length tokens of a sequence at most
   * @param size of a batch; for FASTA and lines of text, masks of Google's protein_lm aside, 16,384
   *     tokens
   * @param end whether the end token is appended to FASTA and lines of text
   * @param seed of the masks; any number will do, as long as it stays
   */
  public record Request(
      String text, String label, Integer length, BatchSize size, boolean end, long seed) {
    /** Nothing is given. */
    public static final Request DEFAULT =
        new Request(null, null, null, null, true, TokenBatchSource.EVALUATION_SEED);

    /** With sequences of so many tokens. */
    public Request withLength(int tokens) {
      return new Request(text, label, tokens, size, end, seed);
    }
  }

  /** What the card of a model records of its data; empty for models that no recipe trained. */
  public static Optional<EvaluationData> of(Path model) {
    var card = ModelCard.read(model).filter(read -> read.data() != null);
    var own = card.map(ModelCard::provenance).map(ModelCard.Provenance::seed);
    long seed = own.orElse(LoopOptions.DEFAULT.seed());
    return card.map(read -> new EvaluationData(bind(current(read), model), Optional.empty(), seed));
  }

  /** Older cards of packed texts have no end in them, though the end token stood between texts. */
  private static JsonNode current(ModelCard card) {
    JsonNode data = card.data();
    boolean isOlder = card.languageModel() != null && card.languageModel().end() == null;
    boolean isText = data.path("kind").asText().equals(Kind.TEXT.label());
    boolean isPacked = isText && !ByteTokenizer.isNamed(data.path("vocabulary").asText());
    return isOlder && isPacked ? data.<ObjectNode>deepCopy().put("end", true) : data;
  }

  /** The data of a recipe. */
  public static EvaluationData of(Recipe recipe) {
    return new EvaluationData(recipe.data(), Optional.of(recipe), recipe.training().seed());
  }

  private static RecipeData bind(JsonNode tree, Path model) {
    String source = model.resolve(ModelCard.FILE) + ": data";
    var needed = Stream.of("kind", "vocabulary", "length", "bucket", "begin", "end");
    boolean isWhole = needed.allMatch(tree::hasNonNull); // false of what is no object
    require(isWhole, "%s: expected the section data of a recipe as resolved", source);
    ObjectNode keys = (ObjectNode) tree;
    if (RecipeData.isFile(keys.path("vocabulary").asText())) {
      keys.put("vocabulary", model.resolve(ModelCard.TOKENIZER_FILE).toString());
    }
    return RecipeData.of(keys, source);
  }

  /** What a file holds, by its name; where that is unknown, what the training data were. */
  private Kind kind(Path file) {
    Kind named = Kind.of(file.toString());
    Kind own = trained.kind();
    Kind kind = named == Kind.TEXT && !own.isExercise() ? own : named;
    if (own.ownsTokens() ? kind != own : kind.ownsTokens()) {
      String text = "%s is data of the kind %s, but the model was trained on data of the kind %s%s";
      String madeUp = own.isExercise() ? ", which is made up" : "";
      text = text.formatted(file, kind.label(), own.label(), madeUp);
      var failure = new PerformerException(text);
      throw own.isExercise() ? failure.settledBy("data") : failure;
    }
    return kind;
  }

  private static boolean isPlain(Kind kind) {
    return kind == Kind.FASTA || kind == Kind.TEXT;
  }

  /** Whether a file can be read only with a recipe. */
  public static boolean needsRecipe(Path file) {
    return !isPlain(Kind.of(file.toString())) && !Files.isDirectory(file);
  }

  /** Whether there are examples without a file: made up, or named by the recipe. */
  public boolean hasOwn() {
    return trained.kind().isExercise() || recipe.isPresent();
  }

  /** Whether a file is read as in training; else it is letters or lines for a language model. */
  public boolean reads(Path file, Task task) {
    Kind kind = kind(file);
    boolean isLanguage = task == Task.CAUSAL_LM || task == Task.MASKED_LM;
    boolean isAsTrained = kind == Kind.TEXT && trained.kind() == kind;
    return recipe.isPresent() || !isLanguage || isAsTrained || !isPlain(kind);
  }

  /**
   * What a model is evaluated on.
   *
   * @param file all of it; empty for the validation data of the recipe, a held-out part of the
   *     training data included, or for made-up examples
   * @throws PerformerException if the file is not there, or does not fit the model
   */
  public Batches batches(Optional<Path> file, PerformerConfig model, Request request) {
    Task task = recipe.map(Recipe::task).orElse(model.task());
    String text = "the recipe's task is %s, but the model's is %s; give the recipe that trained it";
    require(task == model.task(), text, task.label(), model.task().label());
    Batches batches = file.isPresent() ? of(file.get(), task, request) : own(request);
    int size = batches.vocabulary().size();
    int own = model.vocabularySize();
    require(size <= own, "%s has %d tokens, but the model only %d", batches.name(), size, own);
    return batches;
  }

  private Batches own(Request request) {
    if (trained.kind().isExercise()) {
      RecipeData data = over(null, trained.kind(), request);
      return data.format().whole(data, batching(data, request), seed);
    }
    boolean isUsual = request.length() == null && request.label() == null && request.text() == null;
    String text =
        "a recipe's own validation data are read as the recipe specifies; change their length, text or label there";
    require(isUsual, text);
    BatchSize size = request.size() == null ? recipe.orElseThrow().batchSize() : request.size();
    return trained.batches(size, seed).validation();
  }

  private Batches of(Path file, Task task, Request request) {
    Kind kind = kind(file);
    boolean areImages = trained.kind() == Kind.PIXELS;
    String expected = areImages ? "images with labels" : "a table or TFRecords with a label";
    String text = "%s has no labels, but the task of the model is %s; expected %s";
    require(!task.hasLabels() || !isPlain(kind), text, file, task.label(), expected);
    RecipeData read = over(file, kind, request);
    RecipeData data = task.hasLabels() ? read : read.with(keys -> keys.putNull("label"));
    if (data.format() instanceof DataFormat.Pixels pixels) {
      checkImages(data, pixels.images(data), request);
    }
    return data.format().whole(data, batching(data, request), seed);
  }

  private void checkImages(RecipeData data, DataFormat.Pixels.Images images, Request request) {
    int begin = data.begin() ? 1 : 0;
    int length = data.length();
    String file = data.train();
    if (request.length() == null && images.size() + begin > length) {
      String crops =
          "%s: an image has %d tokens, but the model was trained on %d; a length of %d crops them";
      crops = crops.formatted(file, images.size(), length - begin, length);
      throw new PerformerException(crops).settledBy("length=" + length);
    }
    int levels = ((DataFormat.Pixels) trained.format()).levels();
    String text = "%s has %d levels of brightness, but the model was trained on %d";
    require(images.levels() == levels, text, file, images.levels(), levels);
  }

  /** Another file, whole, whose classes are those of training; null for made-up examples. */
  private RecipeData over(Path file, Kind kind, Request request) {
    int length = request.length() == null ? trained.length() : request.length();
    boolean hasColumns = trained.kind() == Kind.TABLE || trained.kind() == Kind.TFRECORD;
    return trained.with(
        keys -> {
          keys.put("train", file == null ? null : file.toString()).put("length", length);
          keys.putNull("validation").set("kind", StrictJson.tree(kind));
          if (trained.bucket().equals(trained.length())) {
            keys.put("bucket", length);
          }
          if (request.text() != null) {
            keys.put("text", request.text());
          } else if (!hasColumns) {
            keys.put("text", ByteTokenizer.isNamed(trained.vocabulary()) ? "text" : "sequence");
          }
          if (request.label() != null) {
            keys.put("label", request.label());
          } else if (trained.label() != null && kind == Kind.PIXELS) {
            boolean isIdx = DataFormat.Pixels.isIdx(file);
            Path beside = isIdx ? PixelExamples.labelsBeside(file) : Path.of(RecipeData.LABEL);
            keys.put("label", beside.toString());
          }
        });
  }

  private static Batching batching(RecipeData data, Request request) {
    BatchSize size = request.size() == null ? LoopOptions.DEFAULT.batch() : request.size();
    return new Batching(
        data.length(),
        size,
        data.bucket(),
        data.begin(),
        data.appendsEnd(),
        false,
        false,
        data.window());
  }
}
