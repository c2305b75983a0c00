package dev.performer.distill;

import static dev.performer.PerformerException.require;

import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.savedmodel.Lora;
import dev.performer.savedmodel.LoraFactors;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.VariablePattern;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * A student's variables in a graph, those that are trained marked so.
 *
 * @param stored with their keys in its SavedModel
 * @param read by name, what its layers read: a sum with low-rank factors in a weight's place
 */
record StudentVariables(
    List<Variable> stored, Map<String, Variable> read, Optional<LoraFactors> factors) {
  private static final String KERNEL = "/kernel";

  static StudentVariables of(Ops tf, DistillModels models, DistillRecipe recipe) {
    Map<String, String> keys = new HashMap<>();
    SavedModelDirectory.open(models.studentPath())
        .variables()
        .forEach(v -> keys.put(v.name(), v.checkpointKey()));
    Variables declared = new Variables(tf);
    Map<String, Variable> byName = new LinkedHashMap<>();
    for (var shape : Performer.shapes(models.config()).entrySet()) {
      String name = shape.getKey();
      boolean isTrained = recipe.weights().train(name);
      Variable own = declared.declare(name, TFloat32.class, shape.getValue(), isTrained);
      byName.put(name, own.withCheckpointKey(keys.get(name)));
    }
    boolean trains = byName.values().stream().anyMatch(Variable::trainable);
    String text =
        "%s: has nothing of what weights are to be trained: no layer has %s; convert it so, or train others";
    String lacking = recipe.weights().projections() ? "random directions" : "a calibration";
    require(trains, text, models.studentPath(), lacking);
    Lora lora = recipe.training().lora();
    return lora == null
        ? new StudentVariables(List.copyOf(byName.values()), byName, Optional.empty())
        : adapted(tf, declared, byName, recipe);
  }

  /** Of everything but factors, only what {@code trainOnly} names stays trained. */
  private static StudentVariables adapted(
      Ops tf, Variables declared, Map<String, Variable> byName, DistillRecipe recipe) {
    var loop = recipe.training();
    List<Variable> all = List.copyOf(byName.values());
    List<Variable> kept = new ArrayList<>();
    loop.trainOnly()
        .forEach(glob -> kept.addAll(VariablePattern.of("trainOnly", glob).in("trainOnly", all)));
    byName.replaceAll((name, v) -> kept.contains(v) ? v : v.frozen());
    var factors = new LoraFactors(tf.withSubScope("lora"), loop.lora(), loop.seed());
    Map<String, Variable> read = new LinkedHashMap<>(byName);
    for (String name : targets(all, loop.lora(), factors)) {
      read.put(name, factors.beside(declared, byName.get(name), split(byName.get(name))));
    }
    return new StudentVariables(List.copyOf(byName.values()), read, Optional.of(factors));
  }

  private static List<String> targets(List<Variable> all, Lora lora, LoraFactors factors) {
    var kernels = all.stream().filter(v -> v.name().endsWith(KERNEL)).toList();
    List<String> names = new ArrayList<>();
    for (String glob : lora.targets()) {
      VariablePattern.of("lora.targets", glob)
          .in("lora.targets", kernels)
          .forEach(v -> names.add(v.name()));
    }
    if (lora.targets().isEmpty()) {
      kernels.stream()
          .filter(v -> v.name().startsWith("layer_") && factors.isWorth(v, split(v)))
          .forEach(v -> names.add(v.name()));
    }
    require(!names.isEmpty(), "lora: no weight is larger than its factors of rank %d", lora.rank());
    return names.stream().distinct().toList();
  }

  /** {@code [H, D, E]} of attention's output has two axes of rows, {@code [E, H, D]} has one. */
  private static int split(Variable kernel) {
    boolean isOutput = kernel.name().matches(".*/output(_exact)?" + KERNEL);
    return isOutput ? kernel.shape().numDimensions() - 1 : 1;
  }

  /** Everything that a run keeps. */
  List<Variable> all() {
    List<Variable> all = new ArrayList<>(stored);
    factors.ifPresent(some -> all.addAll(some.variables()));
    return List.copyOf(all);
  }
}
