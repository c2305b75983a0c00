package dev.performer.recipe;

import dev.performer.data.ByteTokenizer;
import dev.performer.data.PixelExamples;
import dev.performer.data.StrictJson;
import java.nio.file.Path;

/** The section {@code data} of a recipe over other files than its own. */
final class DataCopies {
  private DataCopies() {}

  /**
   * Another file, whole, whose classes are those of training.
   *
   * @param file the data; null for made-up examples
   * @param kind what it holds
   * @param request columns or features, null for where they were or are by default
   * @param length tokens of a sequence at most
   */
  static RecipeData of(
      RecipeData trained,
      Path file,
      RecipeData.Kind kind,
      EvaluationData.Request request,
      int length) {
    boolean hasColumns =
        trained.kind() == RecipeData.Kind.TABLE || trained.kind() == RecipeData.Kind.TFRECORD;
    String usual = ByteTokenizer.isNamed(trained.vocabulary()) ? "text" : "sequence";
    String text =
        request.text() != null
            ? request.text()
            : hasColumns ? trained.toJson().get("text").textValue() : usual;
    return trained.with(
        keys -> {
          keys.put("train", file == null ? null : file.toString()).put("length", length);
          keys.putNull("validation").set("kind", StrictJson.tree(kind));
          if (trained.bucket().equals(trained.length())) {
            keys.put("bucket", length);
          }
          keys.put("text", text);
          if (request.label() != null) {
            keys.put("label", request.label());
          } else if (trained.label() != null && kind == RecipeData.Kind.PIXELS) {
            keys.put("label", labels(file));
          }
        });
  }

  /** Without a class of each example. */
  static RecipeData withoutLabels(RecipeData data) {
    return data.with(keys -> keys.putNull("label"));
  }

  /** Without the places of files, for a model's card: it has the tokenizer itself. */
  static RecipeData withoutFiles(RecipeData data) {
    return data.with(
        keys -> {
          keys.putNull("train").putNull("validation");
          if (RecipeData.isFile(data.vocabulary())) {
            keys.put("vocabulary", Path.of(data.vocabulary()).getFileName().toString());
          }
          if (data.kind() == RecipeData.Kind.PIXELS && data.label() != null) {
            keys.put("label", RecipeData.LABEL);
          }
        });
  }

  private static String labels(Path file) {
    return PixelFormat.isIdx(file) ? PixelExamples.labelsBeside(file).toString() : RecipeData.LABEL;
  }
}
