package dev.performer.training.optim;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.Labels;
import java.util.List;
import java.util.Locale;

/**
 * Learning rate by step: a linear warm-up to the peak, then by the name. Step 0 is the first; with
 * a warm-up of w steps it has peak/w, and step w - 1 has the peak.
 */
public sealed interface Schedule {
  /** What {@link #label} may be. */
  List<String> NAMES = List.of("constant", "linear", "cosine", "inverse-square-root");

  /** The peak. */
  double learningRate();

  /** Steps until the peak. */
  long warmupSteps();

  /** Of the peak, at the last step; 0 for schedules that do not end at a share. */
  default double finalShare() {
    return 0;
  }

  /** The name in recipes, one of {@link #NAMES}. */
  default String label() {
    return getClass().getSimpleName().replaceAll("(?<=.)([A-Z])", "-$1").toLowerCase(Locale.ROOT);
  }

  /** The learning rate of a step, 0 for the first. @param total all steps of the run */
  default double at(long step, long total) {
    long warmup = warmupSteps();
    double warm = step + 1 >= warmup ? 1 : (step + 1.0) / warmup;
    return learningRate() * warm * share(step, total);
  }

  /** What is left of the peak, warm-up aside. */
  double share(long step, long total);

  /**
   * The schedule of a name; an error if there is none, or a number is out of range.
   *
   * @param name one of {@link #NAMES}; {@code inverse-sqrt} is the last of them, too
   * @param finalShare not used by schedules without
   */
  static Schedule of(String name, double learningRate, long warmupSteps, double finalShare) {
    return switch (String.valueOf(name)) {
      case "constant" -> new Constant(learningRate, warmupSteps);
      case "linear" -> new Linear(learningRate, warmupSteps, finalShare);
      case "cosine" -> new Cosine(learningRate, warmupSteps, finalShare);
      case "inverse-square-root", "inverse-sqrt" ->
          new InverseSquareRoot(learningRate, warmupSteps);
      default -> {
        String nearest = Labels.nearest(String.valueOf(name), NAMES);
        String text = "schedule must be one of %s, not '%s'; did you mean %s?";
        throw new PerformerException(text.formatted(String.join(", ", NAMES), name, nearest));
      }
    };
  }

  /** Stays at the peak. */
  record Constant(double learningRate, long warmupSteps) implements Schedule {
    public Constant {
      check(learningRate, warmupSteps, 0);
    }

    @Override
    public double share(long step, long total) {
      return 1;
    }
  }

  /** Falls linearly to {@code finalShare} of the peak at the last step. */
  record Linear(double learningRate, long warmupSteps, double finalShare) implements Schedule {
    public Linear {
      check(learningRate, warmupSteps, finalShare);
    }

    @Override
    public double share(long step, long total) {
      return finalShare + (1 - finalShare) * (1 - progress(step, total, warmupSteps));
    }
  }

  /** Falls along half a cosine to {@code finalShare} of the peak at the last step. */
  record Cosine(double learningRate, long warmupSteps, double finalShare) implements Schedule {
    public Cosine {
      check(learningRate, warmupSteps, finalShare);
    }

    @Override
    public double share(long step, long total) {
      double left = 0.5 * (1 + Math.cos(Math.PI * progress(step, total, warmupSteps)));
      return finalShare + (1 - finalShare) * left;
    }
  }

  /** Falls with the root of the step number, as for the first Transformer and protein_lm. */
  record InverseSquareRoot(double learningRate, long warmupSteps) implements Schedule {
    public InverseSquareRoot {
      check(learningRate, warmupSteps, 0);
    }

    @Override
    public double share(long step, long total) {
      double knee = Math.max(1, warmupSteps);
      return Math.sqrt(knee / Math.max(step + 1, knee));
    }
  }

  private static void check(double learningRate, long warmupSteps, double finalShare) {
    boolean isRate = learningRate > 0 && Double.isFinite(learningRate);
    require(isRate, "learningRate must be above 0, not %s", learningRate);
    require(warmupSteps >= 0, "warmupSteps must be at least 0, not %s", warmupSteps);
    require(finalShare >= 0 && finalShare <= 1, "finalShare must be in [0, 1], not %s", finalShare);
  }

  /** 0 at the end of the warm-up, 1 at the last step. */
  private static double progress(long step, long total, long warmup) {
    long from = Math.max(0, warmup - 1);
    long steps = total - 1 - from;
    return steps <= 0 ? 0 : Math.min(1, Math.max(0, (double) (step - from) / steps));
  }
}
