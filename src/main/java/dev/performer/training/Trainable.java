package dev.performer.training;

import dev.performer.data.NpyArray;
import dev.performer.graph.Recomputation;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.PerformerConfig;
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
import java.util.function.Function;
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
 * @param variables all of the model, projections included
 * @param initializer gives a new session's variables their values, averages included
 * @param loss mean over a batch, scalar; what is differentiated
 * @param sums over a batch: of losses, of right guesses (NaN where there is no right and wrong) and
 *     of guesses, {@code [3]}
 * @param evaluation the same sums without dropout and, where there are averages, with them
 * @param feed makes the tensors of a batch, which are closed; rows of weight 0 must count nothing
 * @param dropoutSeed placeholder {@code [2]}, fed anew for every batch
 * @param redrawSeed placeholder {@code [2]} of the redraws, fed from the run's seed and the step
 * @param redraws ops that draw new projections, by the steps between draws
 * @param activations what layers compute, in their order, by names that a message can use
 * @param parts of the graph that are computed again for their gradients
 * @param segments how a batch is computed in segments, one after the other: then everything else
 *     here is of one segment, and the loss is a sum
 * @param diagnostics scalars on a validation batch, such as the rank of features, by name
 */
public record Trainable(
    Graph graph,
    List<Variable> variables,
    Consumer<Session> initializer,
    Output<TFloat32> loss,
    Output<TFloat64> sums,
    Output<TFloat64> evaluation,
    Function<LabelledBatch, Feed> feed,
    Optional<Averages> averages,
    Optional<Operand<TInt64>> dropoutSeed,
    Optional<Operand<TInt32>> redrawSeed,
    Map<Integer, List<Op>> redraws,
    Recomputation parts,
    Optional<SegmentGraph> segments,
    Map<String, Output<?>> activations,
    Map<String, Output<TFloat64>> diagnostics,
    Measures measures) {
  /** A batch, or the first segment of it. */
  LabelledBatch first(LabelledBatch batch) {
    return segments.map(graph -> graph.split(batch).get(0)).orElse(batch);
  }

  /** Begins with what every graph has; averages may be among the variables. */
  public static Builder builder(Graph graph, Variables variables) {
    return builder(graph, variables::all, variables::initialize);
  }

  public static Builder builder(
      Graph graph, Supplier<List<Variable>> variables, Consumer<Session> initializer) {
    return new Builder(graph, variables, initializer);
  }

  /** A new Performer in an empty graph, with the loss of its task and random weights. */
  public static Trainable of(Graph graph, PerformerConfig config, long seed) {
    return of(graph, config, LoopOptions.builder().seed(seed).build());
  }

  /** The same with the averages, losses and precision of a loop. */
  public static Trainable of(Graph graph, PerformerConfig config, LoopOptions loop) {
    return PerformerTraining.build(graph, config, loop, Map.of());
  }

  /** The values of the weights by name; averages in their place, where there are any. */
  public Map<String, NpyArray> weights(Session session) {
    List<Variable> exported =
        variables.stream().map(v -> averages.map(all -> all.of(v)).orElse(v)).toList();
    Map<String, NpyArray> values = PerformerModels.values(session, exported);
    Map<String, NpyArray> named = new LinkedHashMap<>();
    for (int i = 0; i < exported.size(); i++) {
      named.put(variables.get(i).name(), values.get(exported.get(i).name()));
    }
    return named;
  }

  /** A language model as it is, with nothing drawn anew: an imported one. */
  public static Trainable of(LanguageModel model) {
    return of(model, model);
  }

  /** The same that is evaluated in another way, such as without dropout, in the same graph. */
  public static Trainable of(LanguageModel model, LanguageModel evaluated) {
    return of(model, evaluated, Recomputation.NONE);
  }

  static Trainable of(LanguageModel model, LanguageModel evaluated, Recomputation parts) {
    LossGraph loss = LossGraph.build(model);
    boolean isSame = evaluated == model;
    return builder(model.graph(), model::variables, model.initializer())
        .loss(loss.loss())
        .sums(loss.sums())
        .evaluation(isSame ? loss.sums() : loss.of(evaluated).sums())
        .feed(batch -> Feed.of(isSame ? List.of(model) : List.of(model, evaluated), loss, batch))
        .activation("logits", model.logits())
        .parts(parts)
        .build();
  }

  /** Collects what a graph has, as {@link Trainable} describes; loss, sums, feed are needed. */
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
    private Function<LabelledBatch, Feed> feed;
    private Averages averages;
    private Operand<TInt64> dropoutSeed;
    private Operand<TInt32> redrawSeed;
    private Recomputation parts = Recomputation.NONE;
    private SegmentGraph segments;
    private Measures measures = Measures.NONE;

    private Builder(
        Graph graph, Supplier<List<Variable>> variables, Consumer<Session> initializer) {
      this.graph = graph;
      this.variables = variables;
      this.initializer = initializer;
    }

    public Builder loss(Output<TFloat32> value) {
      loss = value;
      return this;
    }

    public Builder sums(Output<TFloat64> value) {
      sums = value;
      return this;
    }

    public Builder evaluation(Output<TFloat64> value) {
      evaluation = value;
      return this;
    }

    public Builder feed(Function<LabelledBatch, Feed> value) {
      feed = value;
      return this;
    }

    public Builder averages(Averages value) {
      averages = value;
      return this;
    }

    public Builder dropoutSeed(Operand<TInt64> value) {
      dropoutSeed = value;
      return this;
    }

    /** Ops that draw anew every so many steps. @param seed placeholder {@code [2]} */
    public Builder redraw(Operand<TInt32> seed, int every, List<Op> ops) {
      redrawSeed = seed;
      redraws.put(every, List.copyOf(ops));
      return this;
    }

    /** Parts of the graph that are computed again. */
    public Builder parts(Recomputation value) {
      parts = value;
      return this;
    }

    Builder segments(SegmentGraph value) {
      segments = value;
      return this;
    }

    public Builder activation(String name, Output<?> value) {
      activations.put(name, value);
      return this;
    }

    public Builder diagnostic(String name, Output<TFloat64> value) {
      diagnostics.put(name, value);
      return this;
    }

    public Builder measures(Measures value) {
      measures = value;
      return this;
    }

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
          parts,
          Optional.ofNullable(segments),
          activations,
          diagnostics,
          measures);
    }
  }
}
