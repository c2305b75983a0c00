package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.performer.PerformerException;
import dev.performer.data.Labels;
import dev.performer.data.NpyArray;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A checkpoint's body for the task that is wanted: other heads than it needs are left out. */
record TaskChange(Path path, ImportOptions options) {
  /**
   * The same weights where no other task or number of classes is wanted. Else weights of a head
   * that the checkpoint lacks are absent from the result.
   */
  ModelWeights of(ModelWeights weights) {
    PerformerConfig config = weights.config();
    Task wanted =
        options.task() == null
            ? config.task()
            : Labels.find("task", options.task(), List.of(Task.values()), Task::label);
    Integer classes = options.classes();
    boolean isSame = !wanted.hasLabels() || classes == null || classes == config.classes();
    return wanted == config.task() && isSame ? weights : changed(weights, wanted);
  }

  private ModelWeights changed(ModelWeights weights, Task wanted) {
    PerformerConfig old = weights.config();
    boolean isCausal = old.attentionOf(0).isCausal();
    boolean fits = !wanted.hasTokenLogits() || isCausal == (wanted == Task.CAUSAL_LM);
    String text = "%s: its weights are those of the task %s, not of %s; import it as what it is";
    boolean canChange = fits && !wanted.hasDecoder() && !old.task().hasDecoder();
    if (!canChange) {
      throw new PerformerException(text.formatted(path, old.task().label(), wanted.label()))
          .settledBy("task");
    }
    PerformerConfig config = config(old, wanted);
    Map<String, NpyArray> kept = new LinkedHashMap<>(weights.weights());
    kept.keySet().retainAll(Performer.shapes(config).keySet());
    if (old.hasClassifier()) {
      kept.keySet().removeIf(name -> name.startsWith("classifier/"));
    }
    List<String> left = new ArrayList<>(weights.weights().keySet());
    left.removeAll(kept.keySet());
    List<String> notes = new ArrayList<>(weights.notes());
    if (!left.isEmpty()) {
      String line = "left out, as they are of the task %s: %s";
      notes.add(line.formatted(old.task().label(), String.join(", ", left)));
    }
    return new ModelWeights(
        weights.scheme(),
        config,
        kept,
        Optional.empty(),
        weights.vocabulary(),
        Optional.empty(),
        weights.embedding(),
        notes);
  }

  private PerformerConfig config(PerformerConfig old, Task wanted) {
    var keys = JsonNodeFactory.instance.objectNode().put("task", wanted.label());
    int classes = wanted.hasNumbers() ? Math.max(1, old.classes()) : old.classes();
    classes = options.classes() == null ? classes : options.classes();
    if (wanted.hasLabels() && classes == 0) {
      String lacks = "%s: it has no classifier; give the number of classes of a new one";
      throw new PerformerException(lacks.formatted(path)).settledBy("classes");
    } else if (!wanted.hasLabels()) {
      keys.putArray("classifierSizes");
    } else if (options.pooling() != null) {
      keys.put("pooling", options.pooling());
    }
    keys.put("classes", wanted.hasLabels() ? classes : 0);
    if (wanted.hasTokenLogits() && !old.task().hasTokenLogits()) {
      keys.put("tiedOutput", true);
    }
    return old.with(keys, path.toString());
  }
}
