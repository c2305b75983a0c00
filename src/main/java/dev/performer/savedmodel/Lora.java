package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonFormat;
import dev.performer.graph.Variable;
import java.util.ArrayList;
import java.util.List;

/**
 * Low-rank adaptation of an imported model: {@code W + alpha/rank · A·B} takes the place of a
 * weight W, which stays as it is while A and B are trained. A begins with normal numbers of
 * deviation {@code 1/√rows}, B with zeros, so that the model begins as it was; its export has the
 * sums for weights and no factors.
 *
 * @param rank columns of A and rows of B; 8 if null
 * @param alpha the sum's scale times the rank; twice the rank if null
 * @param targets {@linkplain VariablePattern patterns} of weights that matrix products read; empty
 *     for all of those but tables, from which a gather takes rows, and those too small for the rank
 * @see <a href="https://arxiv.org/abs/2106.09685">LoRA</a>
 */
public record Lora(
    Integer rank,
    Double alpha,
    @JsonFormat(with = JsonFormat.Feature.ACCEPT_SINGLE_VALUE_AS_ARRAY) List<String> targets) {
  private static final String FIRST = "/lora_a";
  private static final String SECOND = "/lora_b";

  /** Fills in what is null, and checks. */
  public Lora {
    rank = rank == null ? 8 : rank;
    alpha = alpha == null ? 2.0 * rank : alpha;
    targets = targets == null ? List.of() : List.copyOf(new ArrayList<>(targets));
    require(rank > 0 && rank <= 1 << 16, "lora.rank must be at least 1, not %d", rank);
    boolean isScale = alpha > 0 && Double.isFinite(alpha);
    require(isScale, "lora.alpha must be above 0, not %s", alpha);
    targets.forEach(glob -> VariablePattern.of("lora.targets", glob));
  }

  /** Whether a variable is a factor of a weight. */
  public static boolean isFactor(Variable variable) {
    return variable.name().endsWith(FIRST) || variable.name().endsWith(SECOND);
  }

  double scale() {
    return alpha / rank;
  }

  static String first(String weight) {
    return weight + FIRST;
  }

  static String second(String weight) {
    return weight + SECOND;
  }

  /**
   * How a model is imported to be adapted.
   *
   * @param trainOnly patterns of stored variables that are trained besides the factors
   * @param seed of the first factors
   */
  public record Adaptation(Lora lora, List<String> trainOnly, long seed) {}
}
