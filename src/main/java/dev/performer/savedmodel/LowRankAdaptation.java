package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.graph.LowRankFactors;
import dev.performer.graph.LowRankFactors.Factors;
import dev.performer.graph.LowRankFactors.Weight;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.GraphDef;
import org.tensorflow.types.TFloat32;

/** The low-rank factors of an imported graph: where they are, what they begin with, their sums. */
final class LowRankAdaptation {
  private final Lora.Adaptation how;
  private final GraphDef graph;
  private final List<Factors> factors = new ArrayList<>();
  private LoraFactors values;

  /** Chooses weights. @throws dev.performer.PerformerException if the targets are not adaptable */
  LowRankAdaptation(GraphDef original, Lora.Adaptation how, List<VariableSpec> variables) {
    this.how = how;
    LowRankFactors ways = new LowRankFactors(original);
    Map<String, Weight> weights = new LinkedHashMap<>();
    variables.stream()
        .filter(VariableSpec::trainable)
        .forEach(v -> ways.weight(v.node()).ifPresent(weight -> weights.put(v.name(), weight)));
    require(!weights.isEmpty(), "lora: no matrix product of the model reads a trainable weight");
    List<String> names = variables.stream().map(VariableSpec::name).toList();
    Set<String> chosen = new HashSet<>();
    for (String glob : how.lora().targets()) {
      var found =
          new ArrayList<>(
              VariablePattern.of("lora.targets", glob).in("lora.targets", names, name -> name));
      found.retainAll(weights.keySet());
      String text = "lora.targets: '%s' matches no weight of a matrix product; such are %s";
      require(!found.isEmpty(), text, glob, Excerpt.names(weights.keySet()));
      for (String name : found) {
        String obstacle = weights.get(name).obstacle();
        String barred = "lora: %s is read by %s, which low-rank factors do not reach; leave it out";
        require(obstacle.isEmpty(), barred, name, obstacle);
      }
      chosen.addAll(found);
    }
    weights.forEach((name, weight) -> chosen.addAll(isUsual(weight) ? List.of(name) : List.of()));
    weights.keySet().retainAll(chosen);
    require(
        !weights.isEmpty(),
        "lora: no weight is larger than its factors of rank %d",
        how.lora().rank());
    graph =
        ways.adapt(List.copyOf(weights.values()), how.lora().rank(), how.lora().scale(), factors);
  }

  /** Without targets: what is no table, and larger than its factors. */
  private boolean isUsual(Weight weight) {
    boolean isLarge = Math.min(weight.rows(), weight.columns()) > how.lora().rank();
    return how.lora().targets().isEmpty()
        && !weight.isTable()
        && weight.obstacle().isEmpty()
        && isLarge;
  }

  GraphDef graph() {
    return graph;
  }

  /** Adds the ops that begin and merge; the variables, of which factors are trained, with them. */
  List<Variable> attach(Graph imported, List<Variable> stored) {
    values =
        new LoraFactors(Ops.create(imported).withSubScope("lora_values"), how.lora(), how.seed());
    Set<Variable> trained = new HashSet<>();
    how.trainOnly()
        .forEach(g -> trained.addAll(VariablePattern.of("trainOnly", g).in("trainOnly", stored)));
    List<Variable> all = new ArrayList<>();
    stored.forEach(v -> all.add(trained.contains(v) ? v : v.frozen()));
    for (Factors each : factors) {
      Weight weight = each.weight();
      Variable own =
          stored.stream()
              .filter(v -> v.handle().op().name().equals(weight.node()))
              .findFirst()
              .orElseThrow();
      int rank = how.lora().rank();
      Variable a =
          factor(imported, Lora.first(own.name()), each.a(), Shape.of(weight.rows(), rank));
      Variable b =
          factor(imported, Lora.second(own.name()), each.b(), Shape.of(rank, weight.columns()));
      values.add(own, a, b, imported.<TFloat32>outputOrThrow(each.sum()));
      all.addAll(List.of(a, b));
    }
    return List.copyOf(all);
  }

  private static Variable factor(Graph graph, String name, String node, Shape shape) {
    return new Variable(
        name,
        graph.outputOrThrow(node),
        TFloat32.class,
        shape,
        true,
        Variables.checkpointKey(name));
  }

  void initialize(Session session) {
    values.initialize(session);
  }

  /** Makes each weight its sum; the factors add nothing from then on. */
  void merge(Session session) {
    values.merge(session);
  }
}
