package dev.performer.recipe;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.SpanCorruption;
import dev.performer.data.StrictJson;
import dev.performer.data.TextEncoder;
import dev.performer.data.Vocabulary;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.training.LoopOptions;
import dev.performer.training.Standardization;

/** What kinds of data and the tasks of numbers and of spans ask of a recipe. */
final class RecipeTasks {
  private RecipeTasks() {}

  static boolean hasLabels(Task task) {
    return task == Task.CLASSIFICATION || task == Task.REGRESSION;
  }

  /**
   * Keys that a user wrote and that mean nothing for the task.
   *
   * @param data the section as it was written
   * @throws PerformerException that names the key
   */
  static void checkWritten(Task task, JsonNode data, LoopOptions training) {
    if (task == Task.SEQUENCE_TO_SEQUENCE && data.hasNonNull("masking")) {
      throw new PerformerException(
          "data.masking makes no sense with task sequence-to-sequence; data.spans says what is"
              + " missing");
    }
    if (task == Task.REGRESSION && (training.labelSmoothing() > 0 || training.zLoss() > 0)) {
      throw new PerformerException(
          "training.labelSmoothing and training.zLoss make no sense with task regression");
    }
  }

  /** Whether the keys of the data fit its kind. @throws PerformerException that names the key */
  static void check(RecipeData.Kind kind, RecipeData data, JsonNode written) {
    String label = kind.label();
    if (kind.ownsTokens() && data.vocabulary() != null && !data.vocabulary().equals(label)) {
      throw new PerformerException(
          "data.vocabulary makes no sense with data.kind " + label + ", which has its own");
    }
    if (kind.isExercise() && (data.train() != null || data.validation() != null)) {
      throw new PerformerException(
          "data.train and data.validation make no sense with data.kind "
              + label
              + ", which is made up");
    }
    if (!kind.isExercise() && written.hasNonNull("exercise")) {
      throw new PerformerException("data.exercise needs data.kind copy or retrieval");
    }
  }

  /** Whether the keys of the data fit the task. @throws PerformerException that names the key */
  static void check(Task task, RecipeData.Kind kind, RecipeData data, JsonNode written) {
    boolean hasColumns = kind == RecipeData.Kind.TABLE || kind == RecipeData.Kind.TFRECORD;
    if (task == Task.REGRESSION && !hasColumns) {
      throw new PerformerException(
          "task regression needs numbers, which data.kind "
              + kind.label()
              + " has not; expected table or tfrecord");
    }
    if (task == Task.SEQUENCE_TO_SEQUENCE && kind.ownsTokens()) {
      throw new PerformerException(
          "task sequence-to-sequence and data.kind "
              + kind.label()
              + " do not go together; expected fasta, text, table or tfrecord");
    }
    if (task == Task.SEQUENCE_TO_SEQUENCE && written.hasNonNull("label")) {
      throw new PerformerException(
          "data.label makes no sense with task sequence-to-sequence, which writes missing spans");
    }
    if (task != Task.REGRESSION && data.standardize() != null) {
      throw new PerformerException("data.standardize makes sense with task regression only");
    }
    if (task != Task.SEQUENCE_TO_SEQUENCE && data.spans() != null) {
      throw new PerformerException("data.spans makes sense with task sequence-to-sequence only");
    }
  }

  /** Data with everything else filled in. */
  static RecipeData resolved(Task task, RecipeData data) {
    if (task == Task.REGRESSION && data.standardize() == null) {
      // Numbers are read as numbers, whatever their unit.
      RecipeData plain =
          data.with(keys -> keys.set("standardize", StrictJson.tree(Standardization.NONE)));
      TextEncoder encoder = data.tokenizer().encoder();
      Standardization unit =
          Standardization.of(
              DataFormat.parts(plain, file -> plain.format().source(plain, file, encoder)).train());
      return data.with(keys -> keys.set("standardize", StrictJson.tree(unit)));
    }
    if (task == Task.SEQUENCE_TO_SEQUENCE) {
      Vocabulary own = data.tokenizer().vocabulary();
      RecipeSpans spans = data.spans().resolved(own, data.length());
      return data.with(keys -> keys.set("spans", StrictJson.tree(spans)));
    }
    return data;
  }

  /** Keys of the model that follow from the task. */
  static void complete(Task task, ObjectNode model, RecipeData data) {
    if (task != Task.SEQUENCE_TO_SEQUENCE) {
      return;
    }
    Vocabulary vocabulary = data.tokens();
    if (!model.has("maxLength")) {
      model.put("maxLength", Math.max(data.length(), longestTarget(data)));
    }
    if (!model.has("decoderLayers") && model.path("layers").isInt()) {
      model.put("decoderLayers", model.path("layers").intValue());
    }
    if (!model.has("shiftBos")) {
      vocabulary.bos().ifPresent(id -> model.put("shiftBos", id));
      if (vocabulary.bos().isEmpty() && vocabulary.pad().isPresent()) {
        model.put("shiftBos", vocabulary.pad().getAsInt());
      }
    }
  }

  /** Whether the model fits the task. @throws PerformerException that names the key */
  static void check(Task task, RecipeData data, PerformerConfig model) {
    if (task == Task.REGRESSION && model.classes() != 1) {
      throw new PerformerException(
          "model.classes is " + model.classes() + ", but task regression guesses one number");
    }
    if (task != Task.SEQUENCE_TO_SEQUENCE) {
      return;
    }
    if (model.padId() == null) {
      throw new PerformerException(
          "task sequence-to-sequence needs padding, which the vocabulary "
              + data.vocabulary()
              + " lacks; set model.padId, or take another");
    }
    if (model.shiftBos() == null) {
      throw new PerformerException(
          "task sequence-to-sequence needs model.shiftBos, the token that a decoder starts with");
    }
    if (model.maxLength() < longestTarget(data)) {
      throw new PerformerException(
          "model.maxLength is "
              + model.maxLength()
              + ", but the decoder writes up to "
              + longestTarget(data)
              + " tokens; raise it, or lower data.spans.rate");
    }
    for (int i = 0; i < model.decoderLayers(); i++) {
      if (!model.decoderAttentionOf(i).isCausal()) {
        throw new PerformerException(
            "task sequence-to-sequence needs a causal model.decoderAttention");
      }
    }
  }

  static SpanCorruption corruption(RecipeData data) {
    return data.spans().corruption(data.tokens());
  }

  private static int longestTarget(RecipeData data) {
    return corruption(data).targetLength(data.length());
  }
}
