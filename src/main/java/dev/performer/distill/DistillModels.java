package dev.performer.distill;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerModels.Saved;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/** A student that attends by FAVOR+ and its exact teacher, which differ in attention only. */
public record DistillModels(Path studentPath, Saved student, Path teacherPath, Saved teacher) {
  private static final Set<String> MAY_DIFFER =
      Set.of("attention", "decoderAttention", "crossAttention", "dropout");

  /** Reads both; an error where weights are not finite, or the models are not alike. */
  public static DistillModels load(Path student, Path teacher) {
    DistillModels models =
        new DistillModels(
            student, PerformerModels.load(student), teacher, PerformerModels.load(teacher));
    models.requireAlike();
    requireFinite(student, models.student.weights());
    requireFinite(teacher, models.teacher.weights());
    String text = "%s: has a decoder; teachers train encoders and language models without one";
    require(models.config().decoderLayers() == 0, text, student);
    return models;
  }

  /** The student's. */
  public PerformerConfig config() {
    return student.config();
  }

  /** The same with the weights of what came of the student. */
  public DistillModels goingOn(Path learned) {
    Saved now = PerformerModels.load(learned);
    requireFinite(learned, now.weights());
    return new DistillModels(studentPath, now, teacherPath, teacher);
  }

  /** What is worth telling before training. */
  public List<String> notes() {
    List<String> notes = new ArrayList<>();
    List<Integer> estimated = favorLayers(teacher.config());
    if (!estimated.isEmpty()) {
      String text =
          "the teacher %s attends by FAVOR+ itself, in layers %s: the student learns that";
      notes.add(text.formatted(teacherPath, estimated) + ", not exact attention");
    }
    if (favorLayers(student.config()).isEmpty()) {
      String text =
          "the student %s attends by FAVOR+ in no layer; converting it makes one that does";
      notes.add(text.formatted(studentPath));
    }
    return notes;
  }

  private static List<Integer> favorLayers(PerformerConfig config) {
    return IntStream.range(0, config.layers())
        .filter(i -> !(config.attentionOf(i) instanceof AttentionConfig.Exact))
        .boxed()
        .toList();
  }

  private void requireAlike() {
    JsonNode theirs = teacher.config().toJson();
    for (var ours : student.config().toJson().properties()) {
      String key = ours.getKey();
      JsonNode other = theirs.get(key);
      boolean isAlike = MAY_DIFFER.contains(key) || ours.getValue().equals(other);
      requireAlike(isAlike, key, other, ours.getValue());
    }
    List<String> tokens = tokens(student);
    List<String> others = tokens(teacher);
    boolean isAlike = tokens == null || others == null || tokens.equals(others);
    requireAlike(isAlike, "vocabulary", "of other tokens", "not");
  }

  private void requireAlike(boolean isAlike, String key, Object theirs, Object ours) {
    String text =
        "%s: is no teacher for %s: its %s is %s, the student's %s; they may differ in attention only";
    require(isAlike, text, teacherPath, studentPath, key, theirs, ours);
  }

  private static List<String> tokens(Saved model) {
    return model.card().vocabulary() == null ? null : model.card().vocabulary().tokens();
  }

  private static void requireFinite(Path model, Map<String, NpyArray> weights) {
    for (var weight : weights.entrySet()) {
      for (float value : weight.getValue().floats()) {
        if (!Float.isFinite(value)) {
          String text = "%s: %s holds %s; nothing can be learned so";
          throw new PerformerException(text.formatted(model, weight.getKey(), value));
        }
      }
    }
  }
}
