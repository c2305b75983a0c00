package dev.performer.training.optim;

/**
 * Learning rate by step: a linear warm-up to the peak, then what the name says. Step 0 is the
 * first; with a warm-up of w steps it has peak/w, and step w - 1 has the peak.
 */
public sealed interface LearningRateSchedule {
  /** What a small batch of a small model usually takes in fine-tuning. */
  double DEFAULT_PEAK = 1e-3;

  /**
   * @param step 0 for the first
   * @param total all steps of the run
   */
  double at(long step, long total);

  /** Stays at the peak. */
  record Constant(double peak, long warmup) implements LearningRateSchedule {
    @Override
    public double at(long step, long total) {
      return peak * warm(step, warmup);
    }
  }

  /** Falls linearly to {@code floor * peak} at the last step. */
  record Linear(double peak, long warmup, double floor) implements LearningRateSchedule {
    @Override
    public double at(long step, long total) {
      double left = 1 - progress(step, total, warmup);
      return peak * warm(step, warmup) * (floor + (1 - floor) * left);
    }
  }

  /** Falls along half a cosine to {@code floor * peak} at the last step. */
  record Cosine(double peak, long warmup, double floor) implements LearningRateSchedule {
    @Override
    public double at(long step, long total) {
      double left = 0.5 * (1 + Math.cos(Math.PI * progress(step, total, warmup)));
      return peak * warm(step, warmup) * (floor + (1 - floor) * left);
    }
  }

  /** Falls with the root of the step number, as for the first Transformer and protein_lm. */
  record InverseSquareRoot(double peak, long warmup) implements LearningRateSchedule {
    @Override
    public double at(long step, long total) {
      double knee = Math.max(1, warmup);
      return peak * warm(step, warmup) * Math.sqrt(knee / Math.max(step + 1, knee));
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
