package dev.performer.study;

import dev.performer.attention.FavorConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/** What was measured at every real token of a layer, head by head. */
final class TokenErrors {
  private static final int PARTS = 7;

  /**
   * One token of one head.
   *
   * @param error squared, of attention's output
   * @param expected the same in closed form for M = 1
   * @param output squared length of exact attention's output
   * @param query length of its query
   * @param key length of its key
   * @param logit largest |q·k|/√D of its query
   */
  private record Token(
      double error, double expected, double output, double query, double key, double logit) {}

  private final List<List<Token>> heads = new ArrayList<>();

  TokenErrors(int heads) {
    for (int h = 0; h < heads; h++) {
      this.heads.add(new ArrayList<>());
    }
  }

  /**
   * Adds a sequence.
   *
   * @param measures the parts of {@link Token} in their order, then 1 at real tokens, {@code [7, 1,
   *     H, L]}
   */
  void add(double[] measures) {
    int part = measures.length / PARTS;
    int length = part / heads.size();
    for (int at = 0; at < part; at++) {
      if (measures[6 * part + at] != 0) {
        heads
            .get(at / length)
            .add(
                new Token(
                    measures[at],
                    measures[part + at],
                    measures[2 * part + at],
                    measures[3 * part + at],
                    measures[4 * part + at],
                    measures[5 * part + at]));
      }
    }
  }

  AttentionErrors.Row row(int layer, FavorConfig favor) {
    List<Token> all = heads.stream().flatMap(List::stream).toList();
    return new AttentionErrors.Row(
        layer, errors(all, favor), heads.stream().map(tokens -> errors(tokens, favor)).toList());
  }

  private static AttentionErrors.Errors errors(List<Token> tokens, FavorConfig favor) {
    boolean isKnown = ExpectedError.isKnown(favor.kernel());
    double size = sum(tokens, Token::output);
    ToDoubleFunction<Token> expected = token -> token.expected() / favor.features();
    return new AttentionErrors.Errors(
        sum(tokens, Token::query) / tokens.size(),
        tokens.stream().mapToDouble(Token::query).max().orElse(0),
        sum(tokens, Token::key) / tokens.size(),
        tokens.stream().mapToDouble(Token::key).max().orElse(0),
        tokens.stream().mapToDouble(Token::logit).max().orElse(0),
        relative(sum(tokens, Token::error), size),
        isKnown ? relative(sum(tokens, expected), size) : Double.NaN,
        median(tokens.stream().map(token -> relative(token.error(), token.output()))),
        isKnown
            ? median(
                tokens.stream()
                    .map(token -> relative(expected.applyAsDouble(token), token.output())))
            : Double.NaN);
  }

  private static double sum(List<Token> tokens, ToDoubleFunction<Token> part) {
    return tokens.stream().mapToDouble(part).sum();
  }

  /** Infinite where double precision has ended. */
  private static double relative(double square, double size) {
    double ratio = square / Math.max(size, 1e-300);
    return Double.isNaN(ratio) ? Double.POSITIVE_INFINITY : Math.sqrt(ratio);
  }

  private static double median(Stream<Double> values) {
    List<Double> sorted = values.sorted().toList();
    return sorted.isEmpty() ? 0 : sorted.get(sorted.size() / 2);
  }
}
