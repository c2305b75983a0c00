package dev.performer.model;

import dev.performer.attention.ProjectionMatrix;
import dev.performer.graph.Variable;
import dev.performer.graph.Variables;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** A Transformer of a configuration over its variables. */
public final class Performer {

  private Performer() {}

  /** Creates the variables with initial values; weights are drawn from {@code seed}. */
  public static Performer build(Ops tf, Variables variables, PerformerConfig config, long seed) {
    throw new UnsupportedOperationException();
  }

  /** Over variables that exist, by their names: those of another graph, or restored ones. */
  public static Performer over(PerformerConfig config, Function<String, Variable> variables) {
    throw new UnsupportedOperationException();
  }

  /** The names and shapes of all variables of a configuration, projections included. */
  public static Map<String, Shape> shapes(PerformerConfig config) {
    throw new UnsupportedOperationException();
  }

  /** The initial projections of a configuration by the names of their variables. */
  public static Map<String, ProjectionMatrix> projections(PerformerConfig config) {
    throw new UnsupportedOperationException();
  }

  /** The configuration. */
  public PerformerConfig config() {
    throw new UnsupportedOperationException();
  }

  /** Computes; the graph grows, nothing else changes. */
  public Outputs apply(Ops tf, Inputs inputs, Mode mode) {
    throw new UnsupportedOperationException();
  }

  /**
   * The weights by which a layer's self attention mixes values, {@code [B, H, L, L]}: for short
   * sequences only.
   *
   * @param layer number of the layer
   * @param outputs of {@link #apply}
   */
  public Operand<TFloat32> attentionMap(Ops tf, int layer, Outputs outputs) {
    throw new UnsupportedOperationException();
  }
}
