package dev.performer.savedmodel.softmax;

import java.util.List;

/**
 * Where a graph attends: {@code softmax(scale · q·k + terms) v}, all of it by references.
 *
 * @param softmax the node
 * @param product of queries and keys
 * @param productAxes its axes, and so on
 * @param queries {@code [batch…, L, D]} in any order
 * @param keys {@code [batch…, S, D]} in any order
 * @param values {@code [batch…, S, V]} in any order
 * @param weights the operand of the last product
 * @param out the last product's node
 * @param batch what all of them run over; heads come last
 * @param scales factors of the product
 * @param terms what masks may come from
 */
record Site(
    String softmax,
    String product,
    Axes productAxes,
    Wire queries,
    Wire keys,
    Wire values,
    Wire weights,
    String out,
    Axes outAxes,
    List<Atom> batch,
    Atom length,
    Atom keyLength,
    Atom size,
    Atom valueSize,
    List<Scale> scales,
    List<Wire> terms) {
  /** A tensor and what its axes are. */
  record Wire(String reference, Axes axes) {}

  /** A scalar that products are multiplied with, or divided by. */
  record Scale(String reference, boolean divides) {}

  /** Why something that looks like attention is none that can be replaced. */
  static final class NoMatch extends Exception {
    private static final long serialVersionUID = 1;

    NoMatch(String reason, Object... with) {
      super(reason.formatted(with), null, false, false);
    }
  }
}
