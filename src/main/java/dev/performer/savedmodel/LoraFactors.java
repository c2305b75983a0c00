package dev.performer.savedmodel;

import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import dev.performer.nn.Parameters.Initializer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.Session;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Op;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The factors of a {@link Lora} in a graph: what they begin with, and how weights become sums. */
public final class LoraFactors {
  private final Ops tf;
  private final Lora lora;
  private final long seed;
  private final List<Op> first = new ArrayList<>();
  private final List<Op> merging = new ArrayList<>();
  private final List<Op> emptying = new ArrayList<>();
  private final List<Variable> factors = new ArrayList<>();

  /** None yet. @param seed of the first factors */
  public LoraFactors(Ops tf, Lora lora, long seed) {
    this.tf = tf;
    this.lora = lora;
    this.seed = seed;
  }

  /** A and B of all weights, to be trained. */
  public List<Variable> variables() {
    return List.copyOf(factors);
  }

  /** Knows the factors of a weight, and the sum that is read in its place. */
  void add(Variable weight, Variable a, Variable b, Operand<?> sum) {
    var normal = new Initializer.Normal((float) (1 / Math.sqrt(a.shape().get(0))));
    var zeros = tf.zeros(tf.constant(b.shape()), TFloat32.class);
    first.add(Variables.assign(tf, a, normal.draw(tf, a.shape(), seed, a.name())));
    first.add(Variables.assign(tf, b, zeros));
    merging.add(Variables.assign(tf, weight, sum));
    emptying.add(Variables.assign(tf, b, zeros));
    factors.addAll(List.of(a, b));
  }

  /**
   * Gives a weight of a graph that is being built its factors.
   *
   * @param declared where the factors are declared
   * @param split axes before it are rows, the others columns
   * @return the sum, to be read in its place
   */
  public Variable beside(Variables declared, Variable weight, int split) {
    long rows = product(weight.shape(), 0, split);
    long columns = product(weight.shape(), split, weight.shape().numDimensions());
    Variable a =
        declared.declare(
            Lora.first(weight.name()), TFloat32.class, Shape.of(rows, lora.rank()), true);
    Variable b =
        declared.declare(
            Lora.second(weight.name()), TFloat32.class, Shape.of(lora.rank(), columns), true);
    var product = tf.linalg.matMul(a.<TFloat32>read(tf), b.<TFloat32>read(tf)); // [rows, columns]
    var scaled = tf.math.mul(product, tf.constant((float) lora.scale()));
    var folded = tf.reshape(scaled, tf.constant(weight.shape()));
    var sum = tf.math.add(weight.<TFloat32>read(tf), folded);
    add(weight, a, b, sum);
    return weight.ofValue(sum);
  }

  /** Whether a weight is larger than its factors. */
  public boolean isWorth(Variable weight, int split) {
    Shape shape = weight.shape();
    int axes = shape.numDimensions();
    return Math.min(product(shape, 0, split), product(shape, split, axes)) > lora.rank();
  }

  private static long product(Shape shape, int from, int to) {
    return Arrays.stream(shape.asArray(), from, to).reduce(1, Math::multiplyExact);
  }

  /** Gives factors their first values. */
  public void initialize(Session session) {
    run(session, first);
  }

  /** Makes each weight its sum; the factors add nothing from then on. */
  public void merge(Session session) {
    run(session, merging);
    run(session, emptying);
  }

  private static void run(Session session, List<Op> ops) {
    Session.Runner runner = session.runner();
    ops.forEach(runner::addTarget);
    runner.run().close();
  }
}
