package dev.performer.recipe;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.PixelExamples;
import dev.performer.data.StrictJson;
import dev.performer.model.Task;
import dev.performer.savedmodel.ModelCard;
import dev.performer.training.LoopOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The data that a model is evaluated on, read as the data that it was trained on were.
 *
 * @param trained the section {@code data} of the recipe that trained it
 * @param recipe all of it, where it is at hand
 * @param seed of the training, from which made-up examples follow
 */
public record EvaluationData(RecipeData trained, Optional<Recipe> recipe, long seed) {
  /**
   * What is requested besides the file; null for what the model was trained with.
   *
   * @param text column or feature with the tokens
   * @param label the same of the class; of images in MNIST's format the labels' file
   * @param length tokens of a sequence at most
   * @param size sequences of a batch
   */
  public record Request(String text, String label, Integer length, BatchSize size) {}

  /**
   * What the card of a model records of its data.
   *
   * @return empty if it has nothing, as models that no recipe trained
   * @throws PerformerException if its card is broken
   */
  public static Optional<EvaluationData> of(Path model) {
    return ModelCard.read(model)
        .filter(card -> card.data() != null)
        .map(
            card ->
                new EvaluationData(
                    bind(card.data(), model),
                    Optional.empty(),
                    card.provenance() == null || card.provenance().seed() == null
                        ? LoopOptions.DEFAULT.seed()
                        : card.provenance().seed()));
  }

  /** The data of a recipe. */
  public static EvaluationData of(Recipe recipe) {
    return new EvaluationData(recipe.data(), Optional.of(recipe), recipe.training().seed());
  }

  private static RecipeData bind(JsonNode tree, Path model) {
    String source = model.resolve(ModelCard.FILE) + ": data";
    if (tree instanceof ObjectNode keys) {
      if (RecipeData.isFile(keys.path("vocabulary").asText())) {
        keys.put("vocabulary", model.resolve(ModelCard.TOKENIZER_FILE).toString());
      }
      RecipeData data = RecipeData.of(keys, source);
      if (data.kind() != null
          && data.vocabulary() != null
          && data.length() != null
          && data.bucket() != null
          && data.begin() != null
          && data.end() != null) {
        return data;
      }
    }
    throw new PerformerException(source + ": expected the section data of a recipe as resolved");
  }

  /**
   * What a file holds, by its name; where that is unknown, what the training data were.
   *
   * @throws PerformerException if the model cannot read such data; the message names what it can
   */
  public RecipeData.Kind kind(Path file) {
    RecipeData.Kind named = RecipeData.Kind.of(file.toString());
    RecipeData.Kind own = trained.kind();
    boolean isUnnamed = named == RecipeData.Kind.TEXT && !own.isExercise();
    RecipeData.Kind kind = isUnnamed ? own : named;
    if (own.ownsTokens() ? kind != own : kind.ownsTokens()) {
      throw new PerformerException(
              file
                  + (isUnnamed ? "" : " is data of the kind " + kind.label())
                  + ", but the model was trained on data of the kind "
                  + own.label()
                  + (own.isExercise() ? ", which is made up" : ""))
          .settledBy(own.isExercise() ? new String[] {"data"} : new String[0]);
    }
    return kind;
  }

  /** Whether a file can be read only with a recipe. */
  public static boolean needsRecipe(Path file) {
    RecipeData.Kind kind = RecipeData.Kind.of(file.toString());
    return kind != RecipeData.Kind.FASTA
        && kind != RecipeData.Kind.TEXT
        && !Files.isDirectory(file);
  }

  /** Whether there are examples without a file: made up, or named by the recipe. */
  public boolean hasOwn() {
    return trained.kind().isExercise() || recipe.isPresent();
  }

  /**
   * Whether a file is to be read as in training; else it is letters or lines for a language model.
   *
   * @throws PerformerException if the model cannot read such data
   */
  public boolean reads(Path file, Task task) {
    RecipeData.Kind kind = kind(file);
    return recipe.isPresent()
        || !(task == Task.CAUSAL_LM || task == Task.MASKED_LM)
        || kind == RecipeData.Kind.TEXT && trained.kind() == kind
        || kind != RecipeData.Kind.TEXT && kind != RecipeData.Kind.FASTA;
  }

  /**
   * The validation data of the recipe, a held-out part of the training data included; or made-up
   * examples.
   */
  public Batches own(Request request) {
    if (trained.format() instanceof DataFormat.Exercise exercise) {
      RecipeData data = over(null, trained.kind(), request);
      return exercise.made(data, batching(data, request), seed);
    }
    Recipe whole = recipe.orElseThrow();
    if (request.length() != null || request.label() != null || request.text() != null) {
      throw new PerformerException(
          "a recipe's own validation data are read as the recipe specifies; change their length, text or"
              + " label there");
    }
    return trained
        .batches(request.size() == null ? whole.batchSize() : request.size(), seed)
        .validation();
  }

  /**
   * All of a file.
   *
   * @param task of the model
   * @throws PerformerException if the file is not there, or does not fit the model
   */
  public Batches of(Path file, Task task, Request request) {
    RecipeData.Kind kind = kind(file);
    boolean hasNoLabels = kind == RecipeData.Kind.FASTA || kind == RecipeData.Kind.TEXT;
    if (task.hasLabels() && hasNoLabels) {
      throw new PerformerException(
          "%s has no labels, but the task of the model is %s; expected %s"
              .formatted(
                  file,
                  task.label(),
                  trained.kind() == RecipeData.Kind.PIXELS
                      ? "images with labels"
                      : "a table or TFRecords with a label"));
    }
    RecipeData read = over(file, kind, request);
    RecipeData data = task.hasLabels() ? read : read.with(keys -> keys.putNull("label"));
    if (data.format() instanceof PixelFormat pixels) {
      checkImages(data, pixels.images(data), request);
    }
    return data.format().whole(data, batching(data, request));
  }

  private void checkImages(RecipeData data, PixelFormat.Images images, Request request) {
    int begin = data.begin() ? 1 : 0;
    if (request.length() == null && images.size() + begin > data.length()) {
      throw new PerformerException(
              "%s: an image has %d tokens, but the model was trained on %d; a length of %d crops them"
                  .formatted(data.train(), images.size(), data.length() - begin, data.length()))
          .settledBy("length=" + data.length());
    }
    int levels = ((PixelFormat) trained.format()).levels();
    if (images.levels() != levels) {
      throw new PerformerException(
          "%s has %d levels of brightness, but the model was trained on %d"
              .formatted(data.train(), images.levels(), levels));
    }
  }

  /** Another file, whole, whose classes are those of training; null for made-up examples. */
  private RecipeData over(Path file, RecipeData.Kind kind, Request request) {
    int length = request.length() == null ? trained.length() : request.length();
    boolean hasColumns =
        trained.kind() == RecipeData.Kind.TABLE || trained.kind() == RecipeData.Kind.TFRECORD;
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
          } else if (trained.label() != null && kind == RecipeData.Kind.PIXELS) {
            keys.put(
                "label",
                PixelFormat.isIdx(file)
                    ? PixelExamples.labelsBeside(file).toString()
                    : RecipeData.LABEL);
          }
        });
  }

  private static Batching batching(RecipeData data, Request request) {
    BatchSize size = request.size() == null ? LoopOptions.DEFAULT.batch() : request.size();
    return new Batching(
        data.length(), size, data.bucket(), data.begin(), data.end(), false, false, data.window());
  }
}
