package dev.performer.pipeline;

import dev.performer.data.NpyArray;
import dev.performer.savedmodel.TaskCard;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** The names of the classes that a model's outputs mean. */
final class Guesses {
  private final TaskCard task;

  Guesses(TaskCard task) {
    this.task = task;
  }

  /**
   * A name for each row: the class, the labels it has, or the classes of its tokens with spaces
   * between them. Empty where the model guesses no classes or its output is not there.
   */
  List<String> of(Map<String, NpyArray> outputs) {
    NpyArray output = task.output() == null ? null : outputs.get(task.output());
    if (output == null || output.shape().length == 0 || task.kind().hasNumbers()) {
      return List.of();
    }
    float[] values = output.floats();
    long[] shape = output.shape();
    int rows = (int) shape[0];
    int length = task.kind().isOfTokens() ? (int) shape[1] : 1;
    int width = rows == 0 ? 0 : values.length / rows / length;
    NpyArray lengths = outputs.get("lengths");
    List<String> names = new ArrayList<>();
    for (int row = 0; row < rows; row++) {
      int real = lengths == null || length == 1 ? length : lengths.ints()[row];
      int first = row * length;
      names.add(
          IntStream.range(first, first + real)
              .mapToObj(place -> name(values, place * width, width))
              .collect(Collectors.joining(" ")));
    }
    return names;
  }

  private String name(float[] values, int from, int width) {
    double least = Boolean.TRUE.equals(task.probabilities()) ? 0.5 : 0;
    List<String> classes = task.classes();
    if (!task.kind().hasClasses()) {
      return IntStream.range(0, width)
          .filter(i -> values[from + i] > least)
          .mapToObj(classes::get)
          .collect(Collectors.joining(task.separator()));
    }
    if (width == 1) {
      return classes.get(values[from] > least ? 1 : 0);
    }
    int best = 0;
    for (int i = 1; i < width; i++) {
      best = values[from + i] > values[from + best] ? i : best;
    }
    return classes.get(best);
  }
}
