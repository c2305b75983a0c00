package dev.performer.attention;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Locale;

/**
 * How what a head has read fades: {@code S ← g S + φ(k) vᵀ} before a query reads S, numerator and
 * denominator alike, with g in (0, 1) of each head.
 *
 * @see <a href="https://arxiv.org/abs/2103.02143">Random Feature Attention, section 3.2</a>
 */
public enum Gate {
  /** It does not. */
  @JsonProperty("none")
  NONE,
  /** g is learned, one number a head. */
  @JsonProperty("constant")
  CONSTANT,
  /** g is a sigmoid of the token's hidden state, learned; it begins as {@link #CONSTANT}. */
  @JsonProperty("token")
  TOKEN;

  /** Exponents of 1 − g, base ½, between which heads begin: half-lives of 22 to 2,839 tokens. */
  private static final double SHORTEST = 5;

  private static final double LONGEST = 12;

  /** Where gates of heads begin, evenly spread: logits of g, that is ln(g / (1 − g)). */
  public static float[] logits(int heads) {
    float[] logits = new float[heads];
    for (int h = 0; h < heads; h++) {
      double exponent = SHORTEST + (LONGEST - SHORTEST) * (h + 0.5) / heads;
      logits[h] = (float) Math.log(Math.pow(2, exponent) - 1);
    }
    return logits;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
