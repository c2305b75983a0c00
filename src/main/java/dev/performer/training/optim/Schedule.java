package dev.performer.training.optim;

import dev.performer.PerformerException;
import dev.performer.data.Labels;
import java.util.List;

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

  /** The name in recipes. */
  String label();

  /**
   * @param step 0 for the first
   * @param total all steps of the run
   */
  double at(long step, long total);

  /**
   * The schedule of a name.
   *
   * @param name one of {@link #NAMES}; {@code inverse-sqrt} is the last of them, too
   * @param finalShare not used by schedules without
   * @throws PerformerException if there is none of that name, or a number is out of range
   */
  static Schedule of(String name, double learningRate, long warmupSteps, double finalShare) {
    return switch (String.valueOf(name)) {
      case "constant" -> new Constant(learningRate, warmupSteps);
      case "linear" -> new Linear(learningRate, warmupSteps, finalShare);
      case "cosine" -> new Cosine(learningRate, warmupSteps, finalShare);
      case "inverse-square-root", "inverse-sqrt" ->
          new InverseSquareRoot(learningRate, warmupSteps);
      default ->
          throw new PerformerException(
              "schedule must be one of %s, not '%s'; did you mean %s?"
                  .formatted(
                      String.join(", ", NAMES), name, Labels.nearest(String.valueOf(name), NAMES)));
    };
  }

  /** Stays at the peak. */
  record Constant(double learningRate, long warmupSteps) implements Schedule {
    /** Checks ranges. */
    public Constant {
      check(learningRate, warmupSteps, 0);
    }

    @Override
    public String label() {
      return "constant";
    }

    @Override
    public double at(long step, long total) {
      return learningRate * warm(step, warmupSteps);
    }
  }

  /** Falls linearly to {@code finalShare} of the peak at the last step. */
  record Linear(double learningRate, long warmupSteps, double finalShare) implements Schedule {
    /** Checks ranges. */
    public Linear {
      check(learningRate, warmupSteps, finalShare);
    }

    @Override
    public String label() {
      return "linear";
    }

    @Override
    public double at(long step, long total) {
      double left = 1 - progress(step, total, warmupSteps);
      return learningRate * warm(step, warmupSteps) * (finalShare + (1 - finalShare) * left);
    }
  }

  /** Falls along half a cosine to {@code finalShare} of the peak at the last step. */
  record Cosine(double learningRate, long warmupSteps, double finalShare) implements Schedule {
    /** Checks ranges. */
    public Cosine {
      check(learningRate, warmupSteps, finalShare);
    }

    @Override
    public String label() {
      return "cosine";
    }

    @Override
    public double at(long step, long total) {
      double left = 0.5 * (1 + Math.cos(Math.PI * progress(step, total, warmupSteps)));
      return learningRate * warm(step, warmupSteps) * (finalShare + (1 - finalShare) * left);
    }
  }

  /** Falls with the root of the step number, as for the first Transformer and protein_lm. */
  record InverseSquareRoot(double learningRate, long warmupSteps) implements Schedule {
    /** Checks ranges. */
    public InverseSquareRoot {
      check(learningRate, warmupSteps, 0);
    }

    @Override
    public String label() {
      return "inverse-square-root";
    }

    @Override
    public double at(long step, long total) {
      double knee = Math.max(1, warmupSteps);
      return learningRate * warm(step, warmupSteps) * Math.sqrt(knee / Math.max(step + 1, knee));
    }
  }

  private static void check(double learningRate, long warmupSteps, double finalShare) {
    if (!(learningRate > 0) || Double.isInfinite(learningRate)) {
      throw new PerformerException("learningRate must be above 0, not " + learningRate);
    }
    if (warmupSteps < 0) {
      throw new PerformerException("warmupSteps must be at least 0, not " + warmupSteps);
    }
    if (!(finalShare >= 0 && finalShare <= 1)) {
      throw new PerformerException("finalShare must be in [0, 1], not " + finalShare);
    }
  }

  private static double warm(long step, long warmup) {
    return step + 1 >= warmup ? 1 : (step + 1.0) / warmup;
  }

  /** 0 at the end of the warm-up, 1 at the last step. */
  private static double progress(long step, long total, long warmup) {
    long from = Math.max(0, warmup - 1);
    long steps = total - 1 - from;
    return steps <= 0 ? 0 : Math.min(1, Math.max(0, (double) (step - from) / steps));
  }
}
