package dev.performer.study;

import dev.performer.attention.FavorConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

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

  private final FavorConfig favor;
  private final List<List<Token>> heads;

  TokenErrors(FavorConfig favor, int heads) {
    this.favor = favor;
    this.heads = IntStream.range(0, heads).<List<Token>>mapToObj(h -> new ArrayList<>()).toList();
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
    for (int i = 0; i < part; i++) {
      double[] m = new double[PARTS];
      for (int j = 0; j < PARTS; j++) {
        m[j] = measures[j * part + i];
      }
      if (m[6] != 0) {
        heads.get(i / length).add(new Token(m[0], m[1], m[2], m[3], m[4], m[5]));
      }
    }
  }

  AttentionErrors.Row row(int layer) {
    List<Token> all = heads.stream().flatMap(List::stream).toList();
    return new AttentionErrors.Row(
        layer, favor, errors(all), heads.stream().map(this::errors).toList());
  }

  private AttentionErrors.Errors errors(List<Token> tokens) {
    boolean isKnown = ExpectedError.isKnown(favor.kernel());
    ToDoubleFunction<Token> expected = token -> token.expected() / favor.features();
    return new AttentionErrors.Errors(
        sum(tokens, Token::query) / tokens.size(),
        largest(tokens, Token::query),
        sum(tokens, Token::key) / tokens.size(),
        largest(tokens, Token::key),
        largest(tokens, Token::logit),
        relative(tokens, Token::error),
        isKnown ? relative(tokens, expected) : Double.NaN,
        median(tokens, Token::error),
        isKnown ? median(tokens, expected) : Double.NaN);
  }

  private static double sum(List<Token> tokens, ToDoubleFunction<Token> part) {
    return tokens.stream().mapToDouble(part).sum();
  }

  private static double largest(List<Token> tokens, ToDoubleFunction<Token> part) {
    return tokens.stream().mapToDouble(part).max().orElse(0);
  }

  private static double relative(List<Token> tokens, ToDoubleFunction<Token> square) {
    return relative(sum(tokens, square), sum(tokens, Token::output));
  }

  private static double median(List<Token> tokens, ToDoubleFunction<Token> square) {
    double[] sorted =
        tokens.stream()
            .mapToDouble(token -> relative(square.applyAsDouble(token), token.output()))
            .sorted()
            .toArray();
    return sorted.length == 0 ? 0 : sorted[sorted.length / 2];
  }

  /** Infinite where double precision has ended. */
  private static double relative(double square, double size) {
    double ratio = square / Math.max(size, 1e-300);
    return Double.isNaN(ratio) ? Double.POSITIVE_INFINITY : Math.sqrt(ratio);
  }
}
