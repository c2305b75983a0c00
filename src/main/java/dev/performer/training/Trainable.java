package dev.performer.training;

import dev.performer.data.NpyArray;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.PerformerConfig;
import dev.performer.nn.Precision;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.optim.Averages;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.tensorflow.Graph;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TFloat64;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.TInt64;

/**
 * A graph with a loss, ready for a {@link Trainer}; {@link #builder} makes one. The graph is owned
 * by whoever made it.
 *
 * @param graph holds everything below
 * @param variables all of the model, projections included
 * @param initializer gives a new session's variables their values, averages included
 * @param loss mean over a batch, scalar; what is differentiated
 * @param sums over a batch: of losses, of right guesses, and of guesses, {@code [3]}; right guesses
 *     are NaN where there is no right and wrong
 * @param evaluation the same sums without dropout and, where there are averages, with them
 * @param feed how a batch is fed
 * @param averages of the weights, or empty
 * @param dropoutSeed placeholder {@code [2]}, fed anew for every batch; empty where nothing is
 *     dropped
 * @param redrawSeed placeholder {@code [2]} of the redraws; empty without any
 * @param redraws ops that draw new projections, by the steps between draws
 * @param activations what layers compute, in their order, by names that a message can use
 * @param diagnostics scalars on a validation batch, such as the rank of features, by name
 * @param measures what an evaluation measures besides
 */
public record Trainable(
    Graph graph,
    List<Variable> variables,
    Consumer<Session> initializer,
    Output<TFloat32> loss,
    Output<TFloat64> sums,
    Output<TFloat64> evaluation,
    BatchFeed feed,
    Optional<Averages> averages,
    Optional<Operand<TInt64>> dropoutSeed,
    Optional<Operand<TInt32>> redrawSeed,
    Map<Integer, List<Op>> redraws,
    Map<String, Output<?>> activations,
    Map<String, Output<TFloat64>> diagnostics,
    Measures measures) {

  /** Makes the tensors of a batch. */
  @FunctionalInterface
  public interface BatchFeed {
    /** What is fed for a batch; the trainer closes it. */
    public Feed of(LabelledBatch batch);
  }

  /**
   * Begins with what every graph has.
   *
   * @param variables of the model, and of averages if there are any
   */
  public static Builder builder(Graph graph, Variables variables) {
    return new Builder(graph, variables::all, variables::initialize);
  }

  public static Builder builder(
      Graph graph, List<Variable> variables, Consumer<Session> initializer) {
    return new Builder(graph, () -> variables, initializer);
  }

  /** The same, measured by another output. */
  Trainable withSums(Output<TFloat64> other) {
    return new Builder(this).sums(other).build();
  }

  /** The same with an evaluation that measures something else besides. */
  public Trainable withMeasures(Measures other) {
    return new Builder(this).measures(other).build();
  }

  /**
   * A new Performer with the loss of its task and random weights.
   *
   * @param graph empty
   * @param config of a task with logits of tokens or classes, or of a regression
   * @param seed of the weights and projections
   */
  public static Trainable of(Graph graph, PerformerConfig config, long seed) {
    return PerformerTraining.build(
        graph, config, LossGraph.Options.NONE, Precision.FLOAT32, 0, seed, Map.of());
  }

  /** The values of the weights by name; averages in their place, where there are any. */
  public Map<String, NpyArray> weights(Session session) {
    List<Variable> exported = new ArrayList<>();
    for (Variable variable : variables) {
      exported.add(averages.map(all -> all.of(variable)).orElse(variable));
    }
    Map<String, NpyArray> values = PerformerModels.values(session, exported);
    Map<String, NpyArray> named = new LinkedHashMap<>();
    for (int i = 0; i < exported.size(); i++) {
      named.put(variables.get(i).name(), values.get(exported.get(i).name()));
    }
    return named;
  }

  /** A language model as it is, with nothing drawn anew: an imported one. */
  public static Trainable of(LanguageModel model) {
    LossGraph loss = LossGraph.build(model);
    return new Builder(model.graph(), model::variables, model.initializer())
        .loss(loss.loss())
        .sums(loss.sums())
        .feed(batch -> Feed.of(model, loss, batch))
        .activation("logits", model.logits())
        .build();
  }

  /** Collects what a graph has; loss, sums and feed are needed. */
  public static final class Builder {
    private final Graph graph;
    private final Supplier<List<Variable>> variables;
    private final Consumer<Session> initializer;
    private final Map<String, Output<?>> activations = new LinkedHashMap<>();
    private final Map<String, Output<TFloat64>> diagnostics = new LinkedHashMap<>();
    private final Map<Integer, List<Op>> redraws = new TreeMap<>();
    private Output<TFloat32> loss;
    private Output<TFloat64> sums;
    private Output<TFloat64> evaluation;
    private BatchFeed feed;
    private Averages averages;
    private Operand<TInt64> dropoutSeed;
    private Operand<TInt32> redrawSeed;
    private Measures measures = Measures.NONE;

    private Builder(
        Graph graph, Supplier<List<Variable>> variables, Consumer<Session> initializer) {
      this.graph = graph;
      this.variables = variables;
      this.initializer = initializer;
    }

    private Builder(Trainable other) {
      this(other.graph, other::variables, other.initializer);
      loss = other.loss;
      sums = other.sums;
      evaluation = other.evaluation;
      feed = other.feed;
      averages = other.averages.orElse(null);
      dropoutSeed = other.dropoutSeed.orElse(null);
      redrawSeed = other.redrawSeed.orElse(null);
      redraws.putAll(other.redraws);
      activations.putAll(other.activations);
      diagnostics.putAll(other.diagnostics);
      measures = other.measures;
    }

    /** Mean over a batch, scalar; what is differentiated. */
    public Builder loss(Output<TFloat32> value) {
      loss = value;
      return this;
    }

    /** Over a batch: of losses, of right guesses (NaN where there are none), of guesses. */
    public Builder sums(Output<TFloat64> value) {
      sums = value;
      return this;
    }

    /** The sums without dropout and with averages, where these differ from those of training. */
    public Builder evaluation(Output<TFloat64> value) {
      evaluation = value;
      return this;
    }

    /** How a batch is fed; rows of weight 0 must count nothing. */
    public Builder feed(BatchFeed value) {
      feed = value;
      return this;
    }

    /** Moved along with every step; evaluation is to read them. */
    public Builder averages(Averages value) {
      averages = value;
      return this;
    }

    /** Placeholder {@code [2]} of dropout's seed, fed anew for every batch. */
    public Builder dropoutSeed(Operand<TInt64> value) {
      dropoutSeed = value;
      return this;
    }

    /**
     * New projections.
     *
     * @param seed placeholder {@code [2]}, fed from the run's seed and the step
     * @param every steps between draws
     * @param ops that draw
     */
    public Builder redraw(Operand<TInt32> seed, int every, List<Op> ops) {
      redrawSeed = seed;
      redraws.put(every, List.copyOf(ops));
      return this;
    }

    /** What a layer computes: an error has its name where it is the first that is not finite. */
    public Builder activation(String name, Output<?> value) {
      activations.put(name, value);
      return this;
    }

    /** A scalar on a validation batch, logged every so many steps. */
    public Builder diagnostic(String name, Output<TFloat64> value) {
      diagnostics.put(name, value);
      return this;
    }

    /** What an evaluation measures besides. */
    public Builder measures(Measures value) {
      measures = value;
      return this;
    }

    /**
     * @throws NullPointerException if loss, sums or feed are missing
     */
    public Trainable build() {
      List<Variable> own = new ArrayList<>(variables.get());
      Consumer<Session> begin = initializer;
      if (averages != null && own.removeAll(averages.averages().values())) {
        Op start = averages.initializer(Ops.create(graph).withSubScope("averages"));
        begin = begin.andThen(session -> session.runner().addTarget(start).run().close());
      }
      return new Trainable(
          graph,
          List.copyOf(own),
          begin,
          Objects.requireNonNull(loss, "a loss is needed"),
          Objects.requireNonNull(sums, "sums are needed"),
          evaluation == null ? sums : evaluation,
          Objects.requireNonNull(feed, "a feed is needed"),
          Optional.ofNullable(averages),
          Optional.ofNullable(dropoutSeed),
          Optional.ofNullable(redrawSeed),
          redraws,
          activations,
          diagnostics,
          measures);
    }
  }
}
