package dev.performer.study;

/**
 * What a formula has work cost.
 *
 * @param flop floating point operations, a multiplication and an addition being two
 * @param bytes to and from memory, each array that no cache holds being written once and read once
 *     a use; NaN where there is no formula
 */
record Cost(double flop, double bytes) {
  static Cost ofFlop(double flop) {
    return new Cost(flop, Double.NaN);
  }

  Cost times(double factor) {
    return new Cost(factor * flop, factor * bytes);
  }

  Cost plus(Cost other) {
    return new Cost(flop + other.flop, bytes + other.bytes);
  }

  /** Operations a byte. */
  double intensity() {
    return flop / bytes;
  }
}
