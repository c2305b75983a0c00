package dev.performer.training.optim;

import static dev.performer.PerformerException.require;

import dev.performer.graph.Variable;
import dev.performer.savedmodel.VariablePattern;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which variables are trained, and which at a rate of their own, by {@linkplain VariablePattern
 * patterns} of their names.
 *
 * @param freeze those that stay as they are
 * @param trainOnly those besides which all others stay; empty for all
 * @param learningRates factors of the learning rate, and so of weight decay; where several patterns
 *     match, their product
 */
public record ParameterGroups(
    List<String> freeze, List<String> trainOnly, Map<String, Double> learningRates) {
  /** All alike. */
  public static final ParameterGroups ALL = new ParameterGroups(List.of(), List.of(), Map.of());

  /**
   * The same variables, of which only those that are trained are marked trainable.
   *
   * @throws dev.performer.PerformerException if a pattern matches none; it names near ones
   */
  public List<Variable> of(List<Variable> all) {
    Set<Variable> frozen = new HashSet<>();
    if (!trainOnly.isEmpty()) {
      frozen.addAll(all);
      for (String glob : trainOnly) {
        var found = VariablePattern.of("trainOnly", glob).in("trainOnly", all);
        boolean trains = found.stream().anyMatch(Variable::trainable);
        require(trains, "trainOnly: '%s' matches only variables that are not trained", glob);
        found.forEach(frozen::remove);
      }
    }
    freeze.forEach(glob -> frozen.addAll(VariablePattern.of("freeze", glob).in("freeze", all)));
    List<Variable> marked = new ArrayList<>();
    all.forEach(v -> marked.add(frozen.contains(v) ? v.frozen() : v));
    boolean trains = marked.stream().anyMatch(Variable::trainable);
    require(trains, "freeze and trainOnly leave no variable to train");
    for (String glob : learningRates.keySet()) {
      var found = VariablePattern.of("learningRates", glob).in("learningRates", marked);
      boolean isUsed = found.stream().anyMatch(Variable::trainable);
      require(isUsed, "learningRates: '%s' matches only variables that are not trained", glob);
    }
    return marked;
  }

  /** What a variable's learning rate is multiplied by. */
  double factor(Variable variable) {
    double factor = 1;
    for (var rate : learningRates.entrySet()) {
      boolean isOf = VariablePattern.of("learningRates", rate.getKey()).matches(variable.name());
      factor *= isOf ? rate.getValue() : 1;
    }
    return factor;
  }
}
