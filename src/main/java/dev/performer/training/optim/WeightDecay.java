package dev.performer.training.optim;

import dev.performer.graph.Variable;
import java.util.regex.Pattern;

/** Which variables weight decay spares: biases, normalisations and vectors. */
final class WeightDecay {
  private static final Pattern SPARED =
      Pattern.compile("(?i)(^|[/_.])(bias|beta|gamma|scale|[a-z]*norm(alization)?)([/_.:]|$)");

  private WeightDecay() {}

  /** Whether it applies, unless it spares nothing. */
  static boolean appliesTo(Variable variable) {
    return variable.shape().numDimensions() >= 2 && !SPARED.matcher(variable.name()).find();
  }
}
