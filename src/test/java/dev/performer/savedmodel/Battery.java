package dev.performer.savedmodel;

import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.graph.NativeErrors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * The many small graphs of battery.py: what Python computed and differentiated, against what Java
 * promises, computes and differentiates.
 */
final class Battery {
  private final Path folder;
  private final SavedModelDirectory model;
  private final Map<String, NpyArray> expected;

  Battery(Path folder) {
    this.folder = folder;
    model = SavedModelDirectory.open(folder.resolve("saved_model"));
    expected = Npz.read(folder.resolve("expected.npz"));
  }

  Set<String> graphs() {
    return new TreeSet<>(model.signatures().keySet());
  }

  /** What is wrong with a graph here, by Python; empty if nothing is. */
  List<String> problems(String signature) {
    List<String> problems = new ArrayList<>();
    Map<String, NpyArray> python = ReferenceModels.under(expected, signature);
    Map<String, NpyArray> inputs = ReferenceModels.under(python, "in0");
    try (ImportedModel imported = ImportedModel.load(model, List.of(signature))) {
      ReferenceModels.under(python, "out")
          .forEach(
              (name, array) -> {
                double[] output = ModelComparison.predict(imported, signature, inputs).get(name);
                compare(problems, "output", output, array, tolerance(signature, 1e-5));
              });
      Map<Integer, String> captured = ModelComparison.captured(model, signature);
      Map<String, NpyArray> wanted = new LinkedHashMap<>();
      ReferenceModels.under(python, "grad")
          .forEach((i, array) -> wanted.put(captured.get(Integer.parseInt(i)), array));
      Trainability verdict = imported.trainability();
      Set<String> promised =
          verdict.trainable().stream()
              .map(variable -> variable.handle().op().name())
              .collect(Collectors.toCollection(TreeSet::new));
      if (!promised.equals(new TreeSet<>(wanted.keySet()))) {
        problems.add(
            "Python has gradients of %s; here it %s %s"
                .formatted(wanted.keySet(), verdict.summary(), promised));
      }
      if (!promised.isEmpty()) {
        var gradients = ModelComparison.gradients(imported, signature, inputs);
        wanted.keySet().retainAll(gradients.keySet());
        wanted.forEach(
            (variable, array) ->
                compare(
                    problems,
                    variable,
                    gradients.get(variable),
                    array,
                    tolerance(signature, 1e-4)));
      }
    } catch (RuntimeException e) {
      problems.add(e.getClass().getSimpleName() + " " + NativeErrors.firstLine(e));
    }
    return problems;
  }

  private static void compare(
      List<String> problems, String what, double[] actual, NpyArray wanted, double tolerance) {
    double difference = ModelComparison.difference(actual, wanted);
    if (!(difference <= tolerance)) {
      problems.add("%s differs by %.1e".formatted(what, difference));
    }
  }

  /** Half precision is computed in single precision here. */
  private static double tolerance(String signature, double usual) {
    return signature.contains("float16") ? 3e-2 : usual;
  }

  public static void main(String[] arguments) {
    Battery battery = new Battery(Path.of(arguments[0]));
    int failed = 0;
    for (String graph : battery.graphs()) {
      if (arguments.length > 1 && !List.of(arguments).contains(graph)) {
        continue;
      }
      List<String> problems = battery.problems(graph);
      failed += problems.isEmpty() ? 0 : 1;
      problems.forEach(problem -> System.out.println(graph + ": " + problem));
    }
    System.out.println(battery.graphs().size() + " graphs, " + failed + " with problems");
    System.exit(failed == 0 ? 0 : 1);
  }
}
