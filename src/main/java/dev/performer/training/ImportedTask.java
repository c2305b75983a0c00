package dev.performer.training;

import static dev.performer.PerformerException.require;

import dev.performer.graph.Recomputation;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.model.Sequences;
import dev.performer.nn.Dense;
import dev.performer.nn.Parameters;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.TaskCard;
import dev.performer.training.Measures.ClassTally;
import dev.performer.training.Measures.FlagTally;
import dev.performer.training.Measures.NumbersTally;
import dev.performer.training.Measures.Tally;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TType;

/**
 * What an imported model guesses of labelled examples, by an output of its own or by a new layer on
 * one, with its loss. The graph stays the model's.
 */
public final class ImportedTask {
  /** The output that guesses, once a new layer does. */
  public static final String LOGITS = "logits";

  /** The numbers that a regression guesses. */
  public static final String VALUES = "values";

  private static final String PROBABILITIES = "probabilities";
  private static final String SCOPE = "head";

  /** How states {@code [B, L, E]} become a vector. */
  public enum Pooling {
    /** Their mean, without padding. */
    MEAN,
    /** The first one. */
    FIRST
  }

  /**
   * A new layer on an output {@code [B, E]}, {@code [B, L, E]} or {@code [B, H, W, E]}.
   *
   * @param width E
   * @param pad the id of padding, which is left out where the model has no mask; null if unknown
   * @param units in which numbers are learnt; empty where none are
   */
  public record Head(
      Pooling pooling, int width, Integer pad, List<Standardization> units, long seed) {}

  private final TaskCard card;
  private final Optional<Head> head;
  private final LossGraph.Options options;
  private final ImportedTask trained; // by another signature; null where it is this one
  private final String scope;
  private final Optional<Recomputation> parts;
  private final ImportedInputs inputs;
  private final Ops tf;
  private final Variables added;
  private final Operand<TFloat32> guess; // [B, C], [B, L, C]
  private final LossGraph loss;
  private final Map<String, Operand<?>> outputs = new LinkedHashMap<>();

  private ImportedTask(
      ImportedModel model,
      String signature,
      TaskCard card,
      Optional<Head> head,
      LossGraph.Options options,
      Optional<Recomputation> parts,
      ImportedTask trained) {
    this.card = card;
    this.head = head;
    this.options = options;
    this.trained = trained;
    this.parts = parts;
    inputs =
        ImportedInputs.of(model, signature, card.tokens(), card.mask())
            .inParts(List.of(card.output()), parts);
    tf = Ops.create(model.graph()).withSubScope(trained == null ? "task" : "evaluation");
    added = trained == null ? new Variables(Ops.create(model.graph())) : trained.added;
    scope = trained == null ? freeScope() : trained.scope;
    Operand<TFloat32> output = inputs.output(tf, card.output());
    guess = head.isPresent() ? layer(output, head.get()) : own(output);
    loss = loss();
    outputs.put(guessed(), guess);
    if (card.kind().hasClasses()) {
      outputs.put(PROBABILITIES, tf.nn.softmax(guess));
    } else if (!card.kind().hasNumbers()) {
      outputs.put(PROBABILITIES, tf.math.sigmoid(guess));
    }
    outputs.putIfAbsent(card.output(), model.output(signature, card.output()));
  }

  /** A new layer on the card's output. */
  public static ImportedTask of(
      ImportedModel model, TaskCard card, Head head, LossGraph.Options options) {
    return of(model, card, Optional.of(head), options, Memory.PLAIN);
  }

  /** The card's output itself: logits, probabilities, or the numbers. */
  public static ImportedTask of(ImportedModel model, TaskCard card, LossGraph.Options options) {
    return of(model, card, Optional.empty(), options, Memory.PLAIN);
  }

  /**
   * The same with or without a new layer, where a step may keep less.
   *
   * @throws dev.performer.PerformerException if it cannot
   */
  public static ImportedTask of(
      ImportedModel model,
      TaskCard card,
      Optional<Head> head,
      LossGraph.Options options,
      Memory memory) {
    var parts = memory.parts();
    var learnt = new ImportedTask(model, card.signature(), card, head, options, parts, null);
    return parts.isPresent() ? learnt.evaluatedBy(card.signature(), card) : learnt;
  }

  /**
   * The same task where it is evaluated and exported by another signature, such as one without
   * dropout; its layer is the same.
   *
   * @param signature as imported
   * @param other the card with inputs and output of that signature
   */
  public ImportedTask evaluatedBy(String signature, TaskCard other) {
    ImportedTask learnt = trained == null ? this : trained;
    return new ImportedTask(
        inputs.model(), signature, other, head, options, Optional.empty(), learnt);
  }

  /** What the model guesses, or is to. */
  public TaskCard card() {
    return card;
  }

  private Operand<TFloat32> layer(Operand<TFloat32> states, Head head) {
    int rank = states.shape().numDimensions();
    Operand<TFloat32> x = states;
    if (!card.kind().isOfTokens() && rank == 3) {
      x =
          head.pooling() == Pooling.FIRST
              ? tf.gather(states, tf.constant(0), tf.constant(1))
              : Sequences.mean(tf, states, mask(states.shape(), head.pad()));
    } else if (!card.kind().isOfTokens() && rank > 3) {
      x = tf.math.mean(states, tf.constant(IntStream.range(1, rank - 1).toArray()));
    }
    int count = card.classes().size();
    Parameters all =
        trained == null
            ? Parameters.create(tf, added, head.seed())
            : Parameters.existing(added::get);
    Parameters parameters = all.in(scope);
    Operand<TFloat32> guessed = Dense.logits(parameters, head.width(), count).apply(tf, x);
    if (!card.kind().hasNumbers()) {
      return guessed;
    }
    float[] means = new float[count];
    float[] deviations = new float[count];
    for (int i = 0; i < count; i++) {
      means[i] = (float) head.units().get(i).mean();
      deviations[i] = (float) head.units().get(i).deviation();
    }
    return tf.math.add(tf.math.mul(guessed, tf.constant(deviations)), tf.constant(means));
  }

  /** A name that no variable of the model begins with. */
  private String freeScope() {
    String free = SCOPE;
    for (int i = 1; begins(free); i++) {
      free = SCOPE + "_" + i;
    }
    return free;
  }

  private boolean begins(String name) {
    return inputs.model().variables().stream().anyMatch(v -> v.name().startsWith(name + "/"));
  }

  /** 1 at real tokens, as the model's own mask or its tokens have it; null where unknown. */
  private Operand<TFloat32> mask(Shape states, Integer pad) {
    if (inputs.mask() != null) {
      return fits(inputs.input(inputs.mask()), states)
          ? tf.dtypes.cast(inputs.input(inputs.mask()), TFloat32.class)
          : null;
    }
    if (inputs.tokens() == null || pad == null || !fits(inputs.input(inputs.tokens()), states)) {
      return null;
    }
    return Sequences.maskOf(tf, tf.dtypes.cast(inputs.input(inputs.tokens()), TInt32.class), pad);
  }

  /** Whether each position has its state, as far as sizes are known. */
  private static boolean fits(Output<?> positions, Shape states) {
    Shape own = positions.shape();
    long length = own.isUnknown() ? -1 : own.numDimensions() == 2 ? own.get(1) : Long.MAX_VALUE;
    return length < 0 || states.get(1) < 0 || length == states.get(1);
  }

  private Operand<TFloat32> own(Operand<TFloat32> output) {
    boolean isProbability = Boolean.TRUE.equals(card.probabilities());
    boolean isUnknown = output.shape().isUnknown();
    int count = card.classes().size();
    int rank = card.kind().isOfTokens() ? 3 : 2;
    Operand<TFloat32> x = output;
    if (!isUnknown && output.shape().numDimensions() == rank - 1 && count <= 2) {
      x = tf.expandDims(output, tf.constant(-1)); // one number an example
    }
    Shape shape = x.shape();
    long last = shape.isUnknown() ? count : shape.get(shape.numDimensions() - 1);
    boolean isBinary = card.kind().hasClasses() && count == 2 && last == 1;
    boolean fits =
        (shape.isUnknown() || shape.numDimensions() == rank)
            && (last < 0 || last == count || isBinary);
    String text = "the output %s does not fit %s of %d %s; choose another, or a new layer on it";
    String what =
        card.kind().hasNumbers()
            ? "numbers"
            : card.kind() == TaskCard.Kind.MULTI_LABEL ? "labels" : "classes";
    require(fits, text, inputs.spec().output(card.output()), card.kind().label(), count, what);
    boolean isOfOne = isBinary || !card.kind().hasClasses();
    if (isProbability) {
      x = isOfOne ? LossGraph.binaryLogits(tf, x) : LossGraph.logits(tf, x);
    }
    return isBinary ? tf.concat(List.of(tf.zerosLike(x), x), tf.constant(-1)) : x;
  }

  private LossGraph loss() {
    Output<TFloat32> weights = // [B, K] or [B, L]
        trained == null ? fed(TFloat32.class) : trained.loss.weights();
    if (card.kind().hasClasses()) {
      Output<TInt32> targets = // [B, 1] or [B, L]
          trained == null ? fed(TInt32.class) : trained.loss.targets().expect(TInt32.class);
      var logits = card.kind().isOfTokens() ? guess : tf.expandDims(guess, tf.constant(1));
      return LossGraph.build(tf, logits, targets, weights, options);
    }
    Output<TFloat32> targets = // [B, K]
        trained == null ? fed(TFloat32.class) : trained.loss.targets().expect(TFloat32.class);
    if (!card.kind().hasNumbers()) {
      return LossGraph.ofFlags(tf, guess, targets, weights);
    } else if (card.scales() == null) {
      return LossGraph.ofNumbers(tf, guess, targets, weights);
    }
    float[] scales = new float[card.scales().size()];
    IntStream.range(0, scales.length).forEach(i -> scales[i] = card.scales().get(i).floatValue());
    var scaled = tf.math.div(targets, tf.constant(scales)).asOutput();
    var of = LossGraph.ofNumbers(tf, tf.math.div(guess, tf.constant(scales)), scaled, weights);
    return new LossGraph(targets, weights, of.loss(), of.total(), of.sums());
  }

  private <T extends TType> Output<T> fed(Class<T> type) {
    return tf.placeholder(type, Placeholder.shape(Shape.of(-1, -1))).asOutput();
  }

  /** The variables of model and layer. */
  public List<Variable> variables() {
    List<Variable> all = new ArrayList<>(inputs.model().variables());
    all.addAll(added.all());
    return all;
  }

  /** The graph with its loss; a new session has the model's stored values and a new layer's. */
  public Trainable trainable() {
    ImportedTask learnt = trained == null ? this : trained;
    return Trainable.builder(inputs.model().graph(), this::variables, this::initialize)
        .loss(learnt.loss.loss())
        .sums(learnt.loss.sums())
        .evaluation(loss.sums())
        .feed(batch -> feed(learnt, learnt.inputs.fit(inputs.fit(batch))))
        .parts(learnt.parts.orElse(Recomputation.NONE))
        .activation(LOGITS, learnt.guess.asOutput())
        .measures(new Measures(Optional.of(guess.asOutput()), tallies()))
        .build();
  }

  private Feed feed(ImportedTask learnt, LabelledBatch batch) {
    Feed feed = inputs.feed(batch).putLabels(loss, batch);
    return learnt == this ? feed : learnt.inputs.feed(feed, batch);
  }

  private void initialize(Session session) {
    inputs.model().restore(session);
    added.initialize(session);
  }

  private Supplier<Tally> tallies() {
    int count = card.classes().size();
    return card.kind().hasClasses()
        ? () -> new ClassTally(count)
        : card.kind().hasNumbers() ? () -> new NumbersTally(count) : () -> new FlagTally(count);
  }

  /** Whether a new layer guesses. */
  public boolean hasHead() {
    return !added.all().isEmpty();
  }

  /** The inputs of a signature that guesses, by name. */
  public Map<String, Operand<?>> inputs() {
    return inputs.all();
  }

  /**
   * The outputs of a signature that guesses: the guess, probabilities, and what that is made of.
   */
  public Map<String, Operand<?>> outputs() {
    return Collections.unmodifiableMap(outputs);
  }

  /** The output that guesses in {@link #outputs}. */
  public String guessed() {
    return card.kind().hasNumbers() ? VALUES : LOGITS;
  }

  /** One of the {@link #outputs} of a batch, in C order; null where it is not float32. */
  public float[] output(Session session, LabelledBatch batch, String name) {
    return inputs.run(session, batch, outputs.get(name).asOutput()).values();
  }

  /** A batch with as many rows as a signature fixes. */
  public static LabelledBatch fitted(ImportedModel model, String signature, LabelledBatch batch) {
    return ImportedInputs.of(model, signature, null, null).fit(batch);
  }

  /** The last size of an output, by its signature or as a batch of it turns out. */
  public static int width(ImportedModel model, TaskCard card, LabelledBatch first) {
    Shape shape = model.signatures().get(card.signature()).output(card.output()).shape();
    long last = shape.isUnknown() ? -1 : shape.get(shape.numDimensions() - 1);
    var inputs = ImportedInputs.of(model, card.signature(), card.tokens(), card.mask());
    if (last < 0) {
      long[] found = inputs.shape(card.output(), first);
      last = found[found.length - 1];
    }
    return Math.toIntExact(last);
  }
}
